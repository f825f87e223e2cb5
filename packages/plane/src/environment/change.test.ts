import {
  EnvironmentPhase,
  EnvironmentSchema,
  EnvironmentStatus_Machine_Phase as MachinePhase,
  MarkEnvironmentActiveRequestSchema,
  UpdateEnvironmentRequestSchema,
  type Environment,
} from '@atelier/api/gitpod/environment';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { applyUpdate, archive, desire, markActive } from './change.ts';

const nowMs = 1_800_000_000_000;
const { RUNNING, STOPPED, DELETED, STARTING, STOPPING, DELETING } = EnvironmentPhase;

function environment(init: MessageInitShape<typeof EnvironmentSchema> = {}): Environment {
  const { metadata = {}, spec = { specVersion: 1n, desiredPhase: RUNNING }, status } = init;
  const stopped = { machine: { phase: MachinePhase.STOPPED }, detail: {} };
  return create(EnvironmentSchema, { id: 'one', metadata, spec, status: status ?? stopped });
}

const wishing = (desiredPhase: EnvironmentPhase): Environment =>
  environment({ spec: { specVersion: 1n, desiredPhase, machine: { session: 'old' } } });

describe('a wish', () => {
  it.each([
    [STOPPED, RUNNING, STARTING, 'new'],
    [RUNNING, DELETED, DELETING, 'old'],
    [STOPPED, DELETED, DELETING, 'old'],
  ])('from %i to %i makes the phase %i at once', (from, to, phase, session) => {
    const changed = wishing(from);
    expect(desire(changed, to, 'new', nowMs)).toBe(true);
    expect(changed.spec).toMatchObject({ specVersion: 2n, desiredPhase: to, machine: { session } });
    expect(changed.status?.phase).toBe(phase);
    expect(changed.status?.detail?.phaseSince).toEqual(timestampFromMs(nowMs));
  });

  it.each([RUNNING, STOPPED, DELETED])('for what is wished already (%i) changes nothing', (wished) => {
    const changed = wishing(wished);
    expect(desire(changed, wished, 'new', nowMs)).toBe(false);
    expect(changed).toEqual(wishing(wished));
  });

  it('to run is a new try when the last one failed', () => {
    const failed = environment({
      spec: { desiredPhase: RUNNING, machine: { session: 'old' } },
      status: { failureMessage: ['no image'], detail: {} },
    });
    expect(desire(failed, RUNNING, 'new', nowMs)).toBe(true);
    expect(failed.spec?.machine?.session).toBe('new');
  });

  it('to stop a running one makes it stopping', () => {
    const running = environment({ status: { machine: { phase: MachinePhase.RUNNING }, detail: {} } });
    desire(running, STOPPED, '', nowMs);
    expect(running.status?.phase).toBe(STOPPING);
  });

  it.each([RUNNING, STOPPED])('for %i comes too late for one that is being deleted', (late) => {
    const refusal = { code: 'failed_precondition', message: 'environment one is being deleted' };
    expect(() => desire(wishing(DELETED), late, '', nowMs)).toThrow(expect.objectContaining(refusal));
  });

  it('to run is not granted to an archived one, and a running one is not archived', () => {
    const archived = wishing(STOPPED);
    expect([archive(archived, nowMs), archive(archived, nowMs)]).toEqual([true, false]);
    expect(() => desire(archived, RUNNING, '', nowMs)).toThrow(
      'environment one is archived; unarchive it first',
    );
    expect(() => archive(wishing(RUNNING), nowMs)).toThrow('environment one runs; stop it first');
  });
});

describe('a sign of work', () => {
  const noted = (saidMs?: number): number | undefined => {
    const changed = environment();
    const timestamp = saidMs === undefined ? {} : { timestamp: timestampFromMs(saidMs) };
    markActive(changed, create(MarkEnvironmentActiveRequestSchema, { activitySignal: timestamp }), nowMs);
    const signal = changed.status?.activitySignal;
    return signal?.timestamp && timestampMs(signal.timestamp);
  };

  it('counts from when it was, and from now when it does not say or says a time to come', () => {
    expect([noted(), noted(nowMs - 5), noted(nowMs + 5)]).toEqual([nowMs, nowMs - 5, nowMs]);
    expect(markActive(environment(), {}, nowMs)).toBe(false);
  });
});

describe('an update', () => {
  const updated = (init: MessageInitShape<typeof UpdateEnvironmentRequestSchema>): Environment => {
    const content = { session: 'a', gitUsername: 'me' };
    const changed = environment({
      metadata: { name: 'before' },
      spec: { specVersion: 1n, content, sshPublicKeys: [{ id: 'k', value: 'v' }] },
    });
    applyUpdate(changed, create(UpdateEnvironmentRequestSchema, init), nowMs);
    return changed;
  };

  it('of metadata leaves the spec’s version alone', () => {
    const { metadata, spec } = updated({ metadata: { name: 'after' } });
    expect([metadata?.name, spec?.specVersion]).toEqual(['after', 1n]);
  });

  it.each<[object, object]>([
    [{ content: { session: 'b' } }, { content: { session: 'b', gitUsername: 'me' } }],
    [{ devcontainer: { session: 'b' } }, { devcontainer: { session: 'b' }, content: { session: 'a' } }],
    [{ automationsFile: { session: 'b' } }, { automationsFile: { session: 'b' } }],
    [{ timeout: { disconnected: { seconds: 0n } } }, { timeout: { disconnected: { seconds: 0n } } }],
    [{ ports: [{ port: 8080, name: 'web' }] }, { ports: [{ port: 8080, name: 'web' }] }],
    [{ sshPublicKeys: [{ id: 'k', value: 'w' }] }, { sshPublicKeys: [{ id: 'k', value: 'w' }] }],
    [{ sshPublicKeys: [{ id: 'k' }] }, { sshPublicKeys: [] }],
    [{ sshPublicKeys: [{ id: 'l', value: 'w' }] }, { sshPublicKeys: [{ id: 'k' }, { id: 'l' }] }],
  ])('of %o changes that and counts the version', (spec, expected) => {
    expect(updated({ spec }).spec).toMatchObject({ specVersion: 2n, ...expected });
  });
});
