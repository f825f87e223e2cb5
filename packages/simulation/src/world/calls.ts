/** The way of a call from a user to the plane and back: it may lose, double or delay what is on it. */
import { sleep, type Random } from '@atelier/api';
import type { World } from './world.ts';

/**
 * Makes a call over the network of a world. `call` is made when the call arrives, which may be twice, late (so
 * that a call that was made afterwards is there before it), or never; then the answer never comes.
 */
export async function callOver<Answer>(
  world: World,
  random: Random,
  call: () => Promise<Answer>,
): Promise<Answer> {
  const { faults } = world;
  if (world.strikes('call-lost', random, faults.callLost)) return never;
  const late = world.strikes('call-late', random, faults.callLate);
  if (late) await sleep(world.clock, random() * faults.callLateMs);
  if (world.strikes('call-duplicate', random, faults.callDuplicate)) void call().catch(() => {});
  const answer = await call();
  return world.strikes('call-answer-lost', random, faults.callAnswerLost) ? never : answer;
}

const never = new Promise<never>(() => {});
