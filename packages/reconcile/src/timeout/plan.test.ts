import {
  ActivityEntrySchema,
  ActivityKind,
  type ActivityEntry,
} from '@atelier/api/atelier/environment_detail';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { planTimeout, type TimeoutFacts } from './plan.ts';

const minute = 60_000;
const startedAtMs = 1_000_000;
const timeoutMs = 30 * minute;
const at = (minutes: number): number => startedAtMs + minutes * minute;

function plan(afterMinutes: number, activity: ActivityEntry[] = [], more: Partial<TimeoutFacts> = {}) {
  return planTimeout({ timeoutMs, activity, startedAtMs, nowMs: at(afterMinutes), ...more });
}

function happened(kind: ActivityKind, minutes: number): ActivityEntry {
  return create(ActivityEntrySchema, { kind, lastAt: timestampFromMs(at(minutes)) });
}

function goesOn(kind: ActivityKind, name: string): ActivityEntry {
  return create(ActivityEntrySchema, { kind, name, since: timestampFromMs(at(1)) });
}

/** Kind, and minutes since the start of what happened; the name of what goes on. */
function because(
  answer: ReturnType<typeof planTimeout>,
): [kind: string | undefined, what: string | number][] {
  if (answer.idle) throw new Error(answer.reason);
  return answer.because.map(({ kind, name, lastAt }) => [
    ActivityKind[kind],
    lastAt === undefined ? name : (timestampMs(lastAt) - startedAtMs) / minute,
  ]);
}

describe('planTimeout', () => {
  it('is idle when the timeout has passed since the start, to the millisecond', () => {
    expect(plan(29)).toMatchObject({ idle: false, idleStopAtMs: at(30), checkAgainAtMs: at(30) });
    expect(because(plan(29))).toEqual([['START', 0]]);
    expect(plan(0, [], { nowMs: at(30) - 1 }).idle).toBe(false);
    expect(plan(30)).toEqual({
      idle: true,
      sinceMs: startedAtMs,
      reason: 'There was no activity for 30 minutes.',
    });
  });

  it('never is without a timeout, and still says what was seen', () => {
    const answer = plan(100_000, [goesOn(ActivityKind.TASK, 'build')], { timeoutMs: 0 });
    expect(answer).toMatchObject({ idle: false, idleStopAtMs: undefined, checkAgainAtMs: undefined });
    expect(because(answer)).toEqual([
      ['TASK', 'build'],
      ['START', 0],
    ]);
  });

  it.each([
    ActivityKind.CLIENT,
    ActivityKind.MARK,
    ActivityKind.TERMINAL_INPUT,
    ActivityKind.TERMINAL_OUTPUT,
    ActivityKind.CPU,
  ])('what happened holds it for the timeout: kind %i', (kind) => {
    const activity = [happened(kind, 100)];
    expect(plan(129, activity)).toMatchObject({ idleStopAtMs: at(130), checkAgainAtMs: at(130) });
    expect(because(plan(129, activity))).toEqual([[ActivityKind[kind], 100]]);
    expect(plan(130, activity)).toMatchObject({ idle: true, sinceMs: at(100) });
  });

  it.each([ActivityKind.TASK, ActivityKind.EXECUTION, ActivityKind.KEEP_ALIVE])(
    'what goes on holds it as long as it does, and the whole timeout afterwards: kind %i',
    (kind) => {
      const during = plan(500, [goesOn(kind, 'build')]);
      expect(during).toMatchObject({
        idleStopAtMs: undefined,
        workSeenAtMs: at(500),
        checkAgainAtMs: at(501),
      });
      expect(because(during)).toEqual([[ActivityKind[kind], 'build']]);
      const seen = { workSeenAtMs: at(500) };
      const after = plan(529, [], seen);
      expect(after).toMatchObject({ workSeenAtMs: at(500), idleStopAtMs: at(530), checkAgainAtMs: at(530) });
      expect(because(after)).toEqual([['ENDED_WORK', 500]]);
      expect(plan(530, [], seen)).toMatchObject({ idle: true, sinceMs: at(500) });
    },
  );

  it('lists everything that holds it: what goes on, then what happened, the latest first', () => {
    const activity = [
      happened(ActivityKind.TERMINAL_INPUT, 5),
      goesOn(ActivityKind.TASK, 'build'),
      happened(ActivityKind.CPU, 9),
      goesOn(ActivityKind.KEEP_ALIVE, 'training'),
    ];
    expect(because(plan(32, activity))).toEqual([
      ['TASK', 'build'],
      ['KEEP_ALIVE', 'training'],
      ['CPU', 9],
      ['TERMINAL_INPUT', 5],
    ]);
  });

  it('takes a time to come for now, so that a clock inside that runs ahead does not hold it for ever', () => {
    const ahead = [happened(ActivityKind.TERMINAL_INPUT, 1_000_000)];
    expect(plan(10, ahead)).toMatchObject({ idleStopAtMs: at(40) });
    expect(because(plan(10, ahead))).toEqual([
      ['TERMINAL_INPUT', 10],
      ['START', 0],
    ]);
  });
});
