/** Instances and networks of a simulated machine, as one driver object sees them. */
import { AtelierError, requireId, sleep } from '@atelier/api';
import type {
  DriverCapabilities,
  Instance,
  InstanceDriver,
  InstanceLimits,
  InstanceStart,
  InstanceUsage,
  Network,
  NetworkDriver,
  NetworkPolicy,
  SupervisorLink,
  UnenforceableLimits,
} from '@atelier/driver';
import type { FaultGate } from './faults.ts';
import type { SimulatedInstance } from './instance.ts';
import type { SimulatedMachine } from './machine.ts';

const residentBytes = 16 * 1024 * 1024;

/** The instances of a machine, and `close`, which gives up everything that this object listens to. */
export function simulatedInstances(
  machine: SimulatedMachine,
  gate: FaultGate,
  capabilities: DriverCapabilities,
): { instances: InstanceDriver; close: () => void } {
  const listening = new Set<() => void>();
  const instances: InstanceDriver = {
    list: () => gate.call('instances.list', () => [...machine.instances.values()].map(instanceOf)),
    inspect: (name) =>
      gate.call('instances.inspect', () => {
        const instance = machine.instances.get(name);
        return instance && instanceOf(instance);
      }),
    start: (start) =>
      gate.call('instances.start', () => {
        const [refused] = Object.values(unenforceable(capabilities, start.limits));
        if (refused !== undefined) throw new AtelierError('failed_precondition', refused);
        return instanceOf(startInstance(machine, start));
      }),
    stop: (name, graceMs) => gate.call('instances.stop', () => stopInstance(machine, name, graceMs)),
    remove: (name) =>
      gate.call('instances.remove', () => {
        machine.kill(name);
        machine.instances.delete(name);
      }),
    listen: (name, onLink) =>
      gate.call('instances.listen', () => {
        const stop = listen(machine, name, onLink);
        const close = (): void => {
          listening.delete(close);
          stop();
        };
        listening.add(close);
        return { close: async () => close() };
      }),
    usage: (name) => gate.call('instances.usage', () => usageOf(machine, name)),
    unenforceable: (limits) => unenforceable(capabilities, limits),
  };
  return {
    instances,
    close() {
      for (const close of listening) close();
    },
  };
}

const limitCapabilities = {
  cpuWeight: 'cpuWeight',
  memoryBytesMax: 'memoryLimit',
  processesMax: 'processLimit',
} as const satisfies Record<keyof InstanceLimits, keyof DriverCapabilities>;

function unenforceable(capabilities: DriverCapabilities, limits: InstanceLimits): UnenforceableLimits {
  const refused = Object.entries(limitCapabilities).filter(
    ([limit, capability]) => limits[limit as keyof InstanceLimits] !== undefined && !capabilities[capability],
  );
  return Object.fromEntries(
    refused.map(([limit, capability]) => [
      limit,
      `${limit} cannot be enforced: this simulated driver was made without ${capability}`,
    ]),
  );
}

function instanceOf({ start, state, pid, startedAtMs, end }: SimulatedInstance): Instance {
  if (state === 'ended') return { name: start.name, state, end };
  return { name: start.name, state, process: { pid, startTime: String(startedAtMs) } };
}

function startInstance(machine: SimulatedMachine, start: InstanceStart): SimulatedInstance {
  const known = machine.instances.get(start.name);
  if (known?.state === 'running') return known;
  if (start.root.kind === 'image') {
    requireFound(machine.images.has(start.root.digest), `Image ${start.root.digest}`);
  } else {
    const { generation } = start.root;
    const found = machine.requireDisk(start.environmentId).generations.has(generation);
    requireFound(found, `Root layer ${generation} of environment ${start.environmentId}`);
  }
  return machine.startInstance(start);
}

function requireFound(found: boolean, what: string): void {
  if (!found) throw new AtelierError('not_found', `${what} is not here. Make it first.`);
}

async function stopInstance(machine: SimulatedMachine, name: string, graceMs: number): Promise<void> {
  const instance = machine.instances.get(name);
  if (instance === undefined || instance.state === 'ended') return;
  const { terminateMs } = machine.behaviour;
  const waitMs = Math.min(terminateMs, graceMs);
  if (waitMs > 0) await sleep(machine.clock, waitMs);
  instance.finish(terminateMs <= graceMs ? 'exited' : 'killed');
}

/** Registers the listener; the newest of a name is the one that gets links. */
function listen(machine: SimulatedMachine, name: string, onLink: (link: SupervisorLink) => void): () => void {
  machine.listeners.set(name, onLink);
  const instance = machine.instances.get(name);
  // A link that an older listener got is no longer the newest: the supervisor dials anew.
  instance?.disconnect();
  instance?.dial();
  return () => {
    if (machine.listeners.get(name) !== onLink) return;
    machine.listeners.delete(name);
    machine.instances.get(name)?.disconnect();
  };
}

function usageOf(machine: SimulatedMachine, name: string): InstanceUsage | undefined {
  const instance = machine.instances.get(name);
  if (instance === undefined || instance.state === 'ended') return undefined;
  const aliveMs = machine.clock.nowMs() - instance.startedAtMs;
  const processes = 1 + instance.processes.running;
  return { cpuUsageMs: Math.floor(aliveMs / 100), memoryBytes: processes * residentBytes, processes };
}

/** The networks of a machine. Addresses are the lowest free ones of 10.200.0.0/16. */
export function simulatedNetworks(
  machine: SimulatedMachine,
  gate: FaultGate,
  capabilities: DriverCapabilities,
): NetworkDriver {
  return {
    list: () => gate.call('networks.list', () => [...machine.networks.values()]),
    ensure: (environmentId, policy) =>
      gate.call('networks.ensure', () => {
        requireId(environmentId, 'environment id');
        requireEnforceable(capabilities, policy);
        const address = machine.networks.get(environmentId)?.address ?? freeAddress(machine);
        const network: Network = { environmentId, address, policy };
        machine.networks.set(environmentId, network);
        return network;
      }),
    remove: (environmentId) =>
      gate.call('networks.remove', () => void machine.networks.delete(environmentId)),
  };
}

function requireEnforceable(capabilities: DriverCapabilities, policy: NetworkPolicy): void {
  if (capabilities.networkIsolation || policy.egress === 'internet') return;
  throw new AtelierError(
    'failed_precondition',
    `Egress ${policy.egress} cannot be enforced: this simulated driver was made without network isolation.`,
  );
}

function freeAddress(machine: SimulatedMachine): string {
  const taken = new Set([...machine.networks.values()].map(({ address }) => address));
  for (let number = 2; number < 65_000; number += 1) {
    const address = `10.200.${number >> 8}.${number & 255}`;
    if (!taken.has(address)) return address;
  }
  throw new AtelierError('resource_exhausted', 'All simulated addresses are taken. Remove an environment.');
}
