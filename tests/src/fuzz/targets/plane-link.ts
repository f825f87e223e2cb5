/** The runner's end of the runner protocol, with a plane that says anything. */
import { isId } from '@atelier/api';
import { RunnerLinkService, SyncResponseSchema } from '@atelier/api/atelier/runner_link';
import { systemClock, systemRandom } from '@atelier/api/system';
import {
  createOutbox,
  createPlaneLink,
  defaultPlaneLinkSettings,
  openLedger,
  type LedgerStorage,
} from '@atelier/runner';
import { createClient } from '@connectrpc/connect';
import { between } from '@atelier/simulation/random';
import { frame } from '../frames.ts';
import { messageBytes, type Known } from '../message.ts';
import { chance, mutateBytes } from '../mutate.ts';
import { answered, transportTo } from '../peer.ts';
import type { Target } from '../target.ts';

const id = '0190dddd-0000-7000-8000-00000000000a';
const known: Known = (field, random) => {
  if (field.name === 'protocol_version') return chance(random, 0.95) ? 1n : undefined;
  if (field.name === 'plane_id' || field.name === 'id') return chance(random, 0.9) ? id : undefined;
  return undefined;
};
const welcome = SyncResponseSchema.fields[0]!;

/** The target. */
export const planeLink: Target = {
  make(random) {
    const frames: Buffer[] = [];
    for (let count = between(random, 1, 5); count > 0; count -= 1) {
      const only: Known = (field, chosen) =>
        field === welcome && frames.length === 0 ? id : known(field, chosen);
      frames.push(frame(random, messageBytes(random, SyncResponseSchema, only)));
    }
    const bytes = Buffer.concat(frames);
    return chance(random, 0.5) ? bytes : mutateBytes(random, bytes);
  },
  open: async () => ({ run: (input) => connected(input as Uint8Array), close: async () => undefined }),
};

async function connected(bytes: Uint8Array): Promise<string> {
  const storage = memoryLedger();
  const ledger = await openLedger(storage, id);
  const transport = transportTo(() => answered('connect+proto', [bytes]), 64 * 1024 * 1024);
  const client = createClient(RunnerLinkService, transport);
  let touched: readonly string[] = [];
  let answer = 'ok';
  const isOver = new Promise<void>((resolve) => {
    const link = createPlaneLink({
      clock: systemClock,
      random: systemRandom,
      dial: (requests, signal) => client.sync(requests, { signal }),
      ledger,
      outbox: createOutbox(systemClock, 500),
      settings: defaultPlaneLinkSettings,
      describe: async () => ({ runnerId: id }),
      onDesired: (ids) => (touched = [...touched, ...ids]),
      onReleased: () => undefined,
    });
    link.start();
    const look = (): void => {
      const { state, message } = link.state();
      if (state === 'connected' || message.endsWith('has not answered yet.')) return void setImmediate(look);
      answer = state;
      if (/^cannot (?:encode|read|set)|is not (?:a function|iterable)|undefined/.test(message))
        answer = `fault: ${message}`;
      void link.stop().then(resolve);
    };
    setImmediate(look);
  });
  await isOver;
  if (answer.startsWith('fault')) throw new Error(answer);
  const strange = [...touched, ...ledger.ids()].find((each) => !isId(each));
  if (strange !== undefined) throw new Error(`an id that is none gets through: ${JSON.stringify(strange)}`);
  const { problem } = await openLedger(storage, id);
  if (problem !== undefined) throw new Error(`the ledger cannot be read again: ${problem}`);
  return ledger.welcome() === undefined ? answer : `${answer} after a welcome`;
}

function memoryLedger(): LedgerStorage {
  let text: string | undefined;
  return {
    read: async () => text,
    write: async (written) => void (text = written),
    setAside: async () => 'aside',
  };
}
