/** The driver for this Linux host as root: crun, our own overlay, user namespaces and network. */
import { realpathSync } from 'node:fs';
import type { Clock } from '@atelier/api';
import type { Driver, DriverReport, ImageDriver } from '@atelier/driver';
import { makeDisks, type LayersOf } from './disks/disks.ts';
import { enterMachine } from './host/dead-homes.ts';
import {
  copyInherited,
  hostInheritance,
  noInheritance,
  type HostSettings,
  type Inheritance,
} from './host/inheritance.ts';
import { findNamespaces } from './host/namespaces.ts';
import { probeMachine } from './host/probe.ts';
import { makeSerial } from './host/serial.ts';
import { whyNoRoot } from './host/root.ts';
import { hostVariables } from './host/system.ts';
import { homeAt, openHome, type OciHome } from './home.ts';
import { createImageDriver } from './images/driver.ts';
import { layersOf } from './images/layers.ts';
import { detectVersion, makeCgroups } from './instances/cgroup.ts';
import { hasBundle, makeInstances, releaseNamespaces } from './instances/instances.ts';
import { makeListeners } from './instances/listen.ts';
import { environmentOf } from './instances/records.ts';
import { readAttachment } from './networks/attachments.ts';
import { makeNetworks } from './networks/networks.ts';

export { findLeftovers } from './host/leftovers.ts';
export { requireRoot } from './host/root.ts';
export { hostInheritance, type Inheritance } from './host/inheritance.ts';
export { openHome, type OciHome } from './home.ts';
export { supervisorsInUse } from './instances/records.ts';

/** What the driver is made of. */
export interface OciDriverOptions {
  /** ATELIER_HOME: a folder on ext4, btrfs or xfs. Made when it is missing. */
  readonly home: string;
  /** What is seen inside as `/opt/atelier`, and the arguments of PID 1, which lie there or in the image. */
  readonly supervisor: { readonly folder: string; readonly arguments: readonly string[] };
  readonly clock: Clock;
  /** Whether certificate authorities and proxies of this host are passed on; they are unless this is false. */
  readonly inheritsHost?: boolean | undefined;
  /** Other settings than those of this host: for tests of what is passed on. */
  readonly hostSettings?: HostSettings | undefined;
  /** Other images than those of this home: for tests of everything else. */
  readonly images?: { readonly driver: ImageDriver; readonly layersOf: LayersOf } | undefined;
}

/**
 * Opens the driver of a home. Takes away what homes left behind that are gone, and answers questions for names
 * on the attachments that are there; changes nothing else until it is asked to.
 */
export async function createOciDriver(options: OciDriverOptions): Promise<Driver> {
  const { clock, supervisor } = options;
  const home = openHome(options.home);
  await enterMachine(home, clock);
  const inheritance = inheritanceOf(home, options);
  copyInherited(home, inheritance);
  const serial = makeSerial();
  const cgroups = makeCgroups(home);
  const networkOf = (environmentId: string) => readAttachment(home, environmentId);
  const release = (environmentId: string): void => releaseNamespaces({ home, networkOf }, environmentId);
  const images = options.images ?? {
    driver: createImageDriver({
      home,
      clock,
      host: hostVariables,
      cgroups,
      inheritance,
      serial,
      networkOf,
      releaseNamespaces: release,
    }),
    layersOf,
  };
  const listeners = makeListeners(
    home,
    clock,
    (name) => findNamespaces(home, environmentOf(name))?.base,
    (name) => hasBundle({ home }, name),
  );
  const networks = makeNetworks({ home, clock, inheritance, serial, releaseNamespaces: release });
  const setting = {
    home,
    clock,
    cgroups,
    listeners,
    supervisor,
    inheritance,
    networkOf,
    layersOf: images.layersOf,
  };
  await networks.resume();
  return {
    name: 'oci',
    images: images.driver,
    disks: makeDisks({ home, layersOf: images.layersOf, serial, releaseNamespaces: release }),
    networks,
    instances: makeInstances(setting, serial),
    probe: () => serial('probe', () => probeMachine({ home, cgroup: cgroups.version, inheritance })),
    async close() {
      await listeners.close();
      await networks.close();
    },
  };
}

/**
 * What the driver's probe would say, found out without opening the driver: for a home whose runner may run.
 * Nothing is listened on, collected or resumed. Everybody but root hears why nothing is tried.
 */
export async function probeOciMachine(
  options: Pick<OciDriverOptions, 'home' | 'inheritsHost' | 'hostSettings'>,
): Promise<DriverReport> {
  const home = whyNoRoot() === undefined ? openHome(options.home) : homeAt(realpathSync(options.home));
  return probeMachine({ home, cgroup: detectVersion(), inheritance: inheritanceOf(home, options) });
}

function inheritanceOf(
  home: OciHome,
  { inheritsHost, hostSettings }: Pick<OciDriverOptions, 'inheritsHost' | 'hostSettings'>,
): Inheritance {
  return inheritsHost === false ? noInheritance : hostInheritance(home, hostSettings);
}
