/** The runner's end of the supervisor protocol, with a supervisor that says anything. */
import {
  HelloResponseSchema,
  SupervisorStatusSchema,
  WatchLogsResponseSchema,
  WatchStatusResponseSchema,
  type SupervisorStatus,
} from '@atelier/api/atelier/supervisor';
import { systemClock } from '@atelier/api/system';
import type { InstanceDriver, SupervisorLink } from '@atelier/driver';
import { createLogs, SupervisorClient, type LogStorage } from '@atelier/runner';
import { toJson, type DescMessage } from '@bufbuild/protobuf';
import type { Random } from '@atelier/api';
import { between } from '@atelier/simulation/random';
import { frame } from '../frames.ts';
import { messageBytes, type Known } from '../message.ts';
import { chance, mutateBytes } from '../mutate.ts';
import { answered, transportTo } from '../peer.ts';
import type { Target } from '../target.ts';

const id = '0190dddd-0000-7000-8000-00000000000a';
const logNamePattern = /^(?:lifecycle|task|service|step)\/[\w.@:+/-]+$/;
const known: Known = (field, random) => {
  if (field.name === 'protocol_version') return chance(random, 0.95) ? 1n : undefined;
  if (field.name === 'boot') return chance(random, 0.95) ? 'boot-1' : undefined;
  if (field.name === 'log') return chance(random, 0.7) ? `service/${id}` : undefined;
  if (field.name === 'status' && field.parent.typeName.endsWith('WatchStatusResponse')) return '';
  if (field.name === 'port') return chance(random, 0.9) ? BigInt(between(random, 1, 65_535)) : undefined;
  return undefined;
};

/** The target: the bodies of the answers to hello, of the statuses and of the logs, in base 64. */
export const supervisorClient: Target = {
  make(random) {
    const hello = messageBytes(random, HelloResponseSchema, known);
    const bodies = [
      hello,
      stream(random, WatchStatusResponseSchema),
      stream(random, WatchLogsResponseSchema),
    ];
    return bodies.map((body) => {
      return (chance(random, 0.7) ? Buffer.from(body) : mutateBytes(random, body)).toString('base64');
    });
  },
  open: async () => ({ run: (input) => linked(input as readonly string[]), close: async () => undefined }),
};

function stream(random: Random, schema: DescMessage): Buffer {
  const count = chance(random, 0.002) ? 400 : between(random, 0, 4);
  return Buffer.concat(
    Array.from({ length: count }, () => frame(random, messageBytes(random, schema, known))),
  );
}

async function linked(texts: readonly string[]): Promise<string> {
  const [hello, statuses, logs] = texts.map((text) => Buffer.from(text, 'base64'));
  const names: string[] = [];
  let take: (link: SupervisorLink) => void = () => undefined;
  const listen: InstanceDriver['listen'] = async (_name, onLink) => {
    take = onLink;
    return { close: async () => undefined };
  };
  let seen: SupervisorStatus | undefined;
  const client = new SupervisorClient({
    clock: systemClock,
    instances: { listen } as InstanceDriver,
    logs: createLogs(logStorage(names), systemClock),
    environmentId: id,
    instanceName: `${id}-main-1`,
    logBases: async () => new Map(),
    onChange: () => (seen = client.view()?.status ?? seen),
  });
  await client.listen();
  const bodies: Readonly<Record<string, [string, Uint8Array | undefined]>> = {
    Hello: ['proto', hello],
    WatchStatus: ['connect+proto', statuses],
    WatchLogs: ['connect+proto', logs],
  };
  const transport = transportTo(
    (path) => {
      const [type, body] = bodies[path.split('/').at(-1) ?? ''] ?? ['proto', undefined];
      return answered(type, [body ?? new Uint8Array()]);
    },
    4 * 1024 * 1024,
  );
  await new Promise<void>((resolve) => {
    take({ transport, closed: new Promise(() => undefined), close: () => setImmediate(resolve) });
  });
  await client.close();
  if (client.view() !== undefined) throw new Error('a link that has ended is still looked at');
  const strange = names.find((name) => !logNamePattern.test(name) || name.includes('..'));
  if (strange !== undefined) throw new Error(`a log is written that is none: ${JSON.stringify(strange)}`);
  if (seen === undefined) return client.warning === '' ? 'no status' : 'warned';
  // The plane writes what it is told as JSON.
  toJson(SupervisorStatusSchema, seen);
  return client.warning === '' ? 'ok' : 'warned after a status';
}

function logStorage(names: string[]): LogStorage {
  return {
    length: async () => 0,
    append: async (_id, name) => void names.push(name),
    read: async (_id, _name, offset) => ({ offset, data: new Uint8Array() }),
    names: async () => [],
    remove: async () => undefined,
  };
}
