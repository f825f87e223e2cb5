/** The plane's end of the runner protocol, with a runner that says anything. */
import { RunnerLinkService, SyncRequestSchema } from '@atelier/api/atelier/runner_link';
import { RunnerKind, RunnerPhase, RunnerSchema } from '@atelier/api/gitpod/runner';
import { EnvironmentSchema } from '@atelier/api/gitpod/environment';
import { systemClock, systemRandom } from '@atelier/api/system';
import { wireErrors } from '@atelier/gateway';
import { createPlane, principalKey, type Principal } from '@atelier/plane';
import { openMemoryStore } from '@atelier/simulation/memory-store';
import { between } from '@atelier/simulation/random';
import { create } from '@bufbuild/protobuf';
import { createConnectRouter, createContextValues } from '@connectrpc/connect';
import { frame } from '../frames.ts';
import { messageBytes, type Known } from '../message.ts';
import { chance, mutateBytes } from '../mutate.ts';
import { wireCode, type Target } from '../target.ts';

const [runnerId, environmentId, organizationId, planeId] = [1, 2, 3, 4].map(
  (digit) => `0190dddd-0000-7000-8000-00000000000${digit}`,
) as [string, string, string, string];
const hello = SyncRequestSchema.fields[0]!;

const known: Known = (field, random) => {
  if (field.name === 'protocol_version') return chance(random, 0.97) ? 1n : undefined;
  if (field.name === 'runner_id') return chance(random, 0.97) ? runnerId : undefined;
  if (field.name === 'plane_id') return chance(random, 0.97) ? planeId : undefined;
  if (field.name === 'environment_id') return chance(random, 0.9) ? environmentId : undefined;
  // Each connection begins with the next epoch, so that some of the reports are believed.
  if (field.name === 'lease_epoch') return chance(random, 0.9) ? epochMark : undefined;
  if (field.name === 'gone') return 0n;
  return undefined;
};
/** Stands for the epoch that the connection will have, as six bytes on the wire. */
const epochMark = 2n ** 41n;

/** The target. */
export const runnerLink: Target = {
  make(random) {
    const frames: Buffer[] = [];
    for (let count = between(random, 1, 5); count > 0; count -= 1) {
      const only: Known = (field, chosen) => {
        if (field.parent === SyncRequestSchema && frames.length === 0)
          return field === hello ? '' : undefined;
        return known(field, chosen);
      };
      const bytes = messageBytes(random, SyncRequestSchema, only);
      frames.push(frame(random, bytes));
    }
    const bytes = Buffer.concat(frames);
    return chance(random, 0.6) ? bytes : mutateBytes(random, bytes);
  },
  async open() {
    const store = openMemoryStore();
    const logged = new Set<string>();
    const plane = createPlane({
      store,
      clock: systemClock,
      random: systemRandom,
      planeId,
      signingKey: { privatePem: '', publicDer: new Uint8Array(32) },
      log: (message, facts) => void logged.add(`${message} ${String(facts?.['error'])}`),
    });
    const runner: Principal = { kind: 'runner', id: runnerId, organizationId };
    const status = { phase: RunnerPhase.ACTIVE };
    const value = create(RunnerSchema, { runnerId, kind: RunnerKind.LOCAL_CONFIGURATION, status });
    await store.create('runner', { id: runnerId, organizationId, value });
    const environment = create(EnvironmentSchema, {
      id: environmentId,
      metadata: { runnerId, organizationId },
    });
    await store.create('environment', { id: environmentId, organizationId, value: environment });
    await plane.start();
    const router = createConnectRouter({ interceptors: [wireErrors()], readMaxBytes: 8 * 1024 * 1024 });
    plane.routes(router);
    const path = `/${RunnerLinkService.typeName}/Sync`;
    const handle = router.handlers.find(({ requestPath }) => requestPath === path)!;
    return {
      async run(input) {
        const epoch = BigInt((await store.get('setting', `lease-${runnerId}`))?.value['epoch'] ?? 0) + 1n;
        const body = withEpoch(input as Uint8Array, epoch);
        logged.clear();
        const answer = await handle({
          httpVersion: '2.0',
          method: 'POST',
          url: `http://localhost${path}`,
          header: new Headers({ 'content-type': 'application/connect+proto' }),
          body: (async function* () {
            yield body;
          })(),
          signal: new AbortController().signal,
          contextValues: createContextValues().set(principalKey, runner),
        });
        const parts: Uint8Array[] = [];
        for await (const part of answer.body ?? []) parts.push(part);
        const text = Buffer.concat(parts).toString('latin1');
        const fault = [...logged].find((line) =>
          /TypeError|RangeError|is not|undefined/.test(line.replace(/undefined$/, '')),
        );
        if (fault !== undefined) throw new Error(`the plane logs: ${fault}`);
        const code = /"code":"(\w+)"/.exec(text)?.[1];
        if (code !== undefined) return wireCode(code, text);
        return logged.size > 0 ? 'ok, with a word in the log' : 'ok';
      },
      async close() {
        await plane.stop();
        await store.close();
      },
    };
  },
};

/** The bytes with the real epoch, as long on the wire as the mark that stands for it. */
function withEpoch(bytes: Uint8Array, epoch: bigint): Buffer {
  const text = Buffer.from(bytes).toString('latin1');
  return Buffer.from(text.replaceAll(varint(epochMark), varint(epoch)), 'latin1');
}

function varint(value: bigint): string {
  const parts = Array.from({ length: 6 }, (_, index) => {
    const part = Number((value >> BigInt(7 * index)) & 0x7fn);
    return index < 5 ? part | 0x80 : part;
  });
  return Buffer.from(parts).toString('latin1');
}
