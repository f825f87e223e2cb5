import { EnvironmentPhase, EnvironmentSchema } from '@atelier/api/gitpod/environment';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { backoffMs, durationText } from './backoff.ts';
import { defaultDeadlines } from './deadlines.ts';
import { emptyRecord, recordFailure } from './record.ts';
import { desiredOf } from './sessions.ts';

describe('desiredOf', () => {
  it.each([
    [EnvironmentPhase.UNSPECIFIED, 'running'],
    [EnvironmentPhase.RUNNING, 'running'],
    [EnvironmentPhase.STOPPED, 'stopped'],
    [EnvironmentPhase.DELETED, 'deleted'],
  ])('desired phase %s is %s', (desiredPhase, phase) => {
    expect(desiredOf(create(EnvironmentSchema, { spec: { desiredPhase } })).phase).toBe(phase);
  });

  it('takes the sessions, and content only from an initializer with specs', () => {
    const spec = {
      machine: { session: 'm' },
      devcontainer: { session: 'd' },
      content: { session: 'c', initializer: { specs: [] } },
    };
    const wish = { environmentId: 'e', machineSession: 'm', contentSession: 'c', devcontainerSession: 'd' };
    expect(desiredOf(create(EnvironmentSchema, { id: 'e', spec }))).toMatchObject({
      ...wish,
      hasContent: false,
    });
    const url = { spec: { case: 'contextUrl' as const, value: { url: 'https://example.com/r' } } };
    const content = { session: 'c', initializer: { specs: [url] } };
    expect(desiredOf(create(EnvironmentSchema, { spec: { content } })).hasContent).toBe(true);
  });
});

describe('time', () => {
  it('doubles the pause from a second to half a minute', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 1000].map(backoffMs)).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('says durations in the unit that fits', () => {
    expect([1, 1000, 150_000, 3_600_000, 10_800_000].map(durationText)).toEqual([
      '1 milliseconds',
      '1 second',
      '150 seconds',
      '1 hour',
      '3 hours',
    ]);
  });

  it('has room in the whole way for its longest steps', () => {
    const { steps, startMs, stopMs, deleteMs } = defaultDeadlines;
    expect(startMs).toBeGreaterThan(
      steps.content + steps.configuration + steps.image + steps.root + steps.lifecycle,
    );
    expect(stopMs).toBeGreaterThan(steps.shutdown + steps.stop);
    expect(deleteMs).toBeGreaterThan(steps.shutdown + steps.stop + steps.release);
  });
});

it('counts the attempts of one session, from the start of the first', () => {
  const planned = { step: 'image', session: 'd1' } as const;
  const failure = { startedAtMs: 5, message: 'no', final: false };
  const once = recordFailure(emptyRecord(0), planned, failure, 10);
  const twice = recordFailure(once, planned, { ...failure, startedAtMs: 11, final: true }, 12);
  expect(twice.failures.image).toEqual({
    session: 'd1',
    attempts: 2,
    firstFailedAtMs: 5,
    lastFailedAtMs: 12,
    message: 'no',
    final: true,
  });
  const other = recordFailure(twice, { step: 'image', session: 'd2' }, { ...failure, startedAtMs: 20 }, 21);
  expect(other.failures.image).toMatchObject({ session: 'd2', attempts: 1, firstFailedAtMs: 20 });
});
