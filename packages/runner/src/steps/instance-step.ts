/** PID 1 of the main instance runs. */
import { AtelierError, instanceName } from '@atelier/api';
import { loadInside } from '../environment.ts';
import { hostnameOf } from '../inside.ts';
import { mainLimits } from '../limits.ts';
import type { StepFunction } from './step.ts';

/** Starts the instance on its root layer; its supervisor is listened for before it can dial. */
export const instanceStep: StepFunction = async (context, planned) => {
  const { parts, memory, environmentId, desired, record } = context;
  const { driver } = parts;
  const { generation } = planned;
  if (generation === undefined) {
    throw new AtelierError('internal', `The instance of ${environmentId} was planned without a root layer.`);
  }
  const image = record.rootDigest === undefined ? undefined : await driver.images.inspect(record.rootDigest);
  const { inside } = await loadInside(parts, desired, record, image?.configuration);
  const name = instanceName(environmentId, 'main', generation);
  await memory.clientFor(name).listen();
  await driver.instances.start({
    name,
    environmentId,
    root: { kind: 'disk', generation },
    mounts: [{ kind: 'workspace', target: inside.mountTarget }],
    network: 'attached',
    // The user's variables are the supervisor's to hand out: its own runtime would obey some of them.
    environment: { ATELIER_BOOT: planned.session },
    hostname: hostnameOf(desired.environment),
    limits: mainLimits(parts, desired),
  });
  return {};
};
