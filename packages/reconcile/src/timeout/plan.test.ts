import { describe, expect, it } from 'vitest';
import { planTimeout, type ActivityFacts, type TimeoutFacts } from './plan.ts';

const minute = 60_000;
const startedAtMs = 1_000_000;
const timeoutMs = 30 * minute;
const idle: ActivityFacts = { runningTasks: 0, runningExecutions: 0, keepAlive: [] };

function plan(afterMinutes: number, activity: Partial<ActivityFacts> = {}, more: Partial<TimeoutFacts> = {}) {
  const nowMs = startedAtMs + afterMinutes * minute;
  return planTimeout({ timeoutMs, activity: { ...idle, ...activity }, startedAtMs, nowMs, ...more });
}

const at = (minutes: number): number => startedAtMs + minutes * minute;

describe('planTimeout', () => {
  it('is idle when the timeout has passed since the start, to the millisecond', () => {
    expect(plan(29)).toEqual({ idle: false, stillOn: ['recent start'], checkAgainAtMs: at(30) });
    expect(plan(30)).toEqual({
      idle: true,
      sinceMs: startedAtMs,
      reason: 'There was no activity for 30 minutes.',
    });
  });

  it('never is without a timeout', () => {
    expect(plan(100_000, {}, { timeoutMs: 0 })).toEqual({
      idle: false,
      stillOn: ['no timeout'],
      checkAgainAtMs: undefined,
    });
  });

  it.each([
    ['recent input', { lastInputAtMs: at(100) }],
    ['recent output', { lastOutputAtMs: at(100) }],
    ['marked as active', { lastMarkedAtMs: at(100) }],
  ])('%s holds it for the timeout', (text, activity) => {
    expect(plan(129, activity)).toEqual({ idle: false, stillOn: [text], checkAgainAtMs: at(130) });
    expect(plan(130, activity)).toMatchObject({ idle: true, sinceMs: at(100) });
  });

  it.each([
    ['running tasks: 2', { runningTasks: 2 }],
    ['running executions: 1', { runningExecutions: 1 }],
    ['keep-alive: build', { keepAlive: ['build'] }],
  ])('%s holds it as long as it goes on, and the whole timeout afterwards', (text, activity) => {
    const during = plan(500, activity);
    expect(during).toEqual({ idle: false, stillOn: [text], workSeenAtMs: at(500), checkAgainAtMs: at(501) });
    const seen = { workSeenAtMs: at(500) };
    expect(plan(529, {}, seen)).toEqual({
      idle: false,
      stillOn: ['recent work'],
      workSeenAtMs: at(500),
      checkAgainAtMs: at(530),
    });
    expect(plan(530, {}, seen)).toMatchObject({ idle: true, sinceMs: at(500) });
  });

  it('lists everything that holds it', () => {
    const activity = { runningTasks: 1, lastInputAtMs: at(9), keepAlive: ['a', 'b'] };
    expect(plan(10, activity)).toMatchObject({
      stillOn: ['running tasks: 1', 'keep-alive: a', 'keep-alive: b', 'recent start', 'recent input'],
    });
  });
});
