import { ActivityEntrySchema, ActivityKind } from '@atelier/api/atelier/environment_detail';
import { DesiredEnvironmentSchema } from '@atelier/api/atelier/runner_link';
import { emptyRecord, type EnvironmentPlan } from '@atelier/reconcile';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { CpuWatch } from './cpu-watch.ts';
import type { EnvironmentMemory } from './environment.ts';
import { lookForIdleness, type IdleLook } from './idleness.ts';
import type { Observation } from './observation.ts';

const minute = 60_000;
const startedAtMs = 1_000_000_000;
const timeoutMs = 30 * minute;
const at = (minutes: number): number => startedAtMs + minutes * minute;

type Entry = MessageInitShape<typeof ActivityEntrySchema>;

/** An environment that came up at the start, looked at whenever a test wants. */
class UpEnvironment {
  readonly memory = {
    lastActiveMs: 0,
    upSinceMs: startedAtMs,
    cpu: new CpuWatch(),
    work: { goesOn: false, seenAtMs: undefined },
  } as unknown as EnvironmentMemory;
  inside: Entry[] = [];
  cpuUsageMs = 0;
  protocolVersion = 2;
  mark: { source: string; atMs: number } | undefined;

  look(minutes: number): IdleLook {
    const { inside, cpuUsageMs, mark, protocolVersion } = this;
    const desired = create(DesiredEnvironmentSchema, {
      environment: {
        spec: { timeout: { disconnected: durationFromMs(timeoutMs) } },
        ...(mark && {
          status: { activitySignal: { source: mark.source, timestamp: timestampFromMs(mark.atMs) } },
        }),
      },
    });
    const observation = {
      observed: {
        record: { ...emptyRecord(startedAtMs), boot: 'b', ready: { boot: 'b' } },
        main: { name: 'main' },
      },
      view: {
        protocolVersion,
        status: { activity: { entries: inside.map((entry) => create(ActivityEntrySchema, entry)) } },
      },
      usage: { cpuUsageMs },
    } as unknown as Observation;
    const plan = { machine: 'running' } as EnvironmentPlan;
    const { record } = observation.observed;
    return lookForIdleness(desired, this.memory, observation, plan, record, at(minutes));
  }

  kinds(minutes: number): (string | undefined)[] {
    return this.look(minutes).activeBecause.map(({ kind }) => ActivityKind[kind]);
  }
}

describe('an environment that is up', () => {
  it('stops when nothing has happened for the timeout, and says until when it stays on', () => {
    const up = new UpEnvironment();
    expect(up.look(29)).toMatchObject({ idleStop: undefined, idleStopAtMs: at(30), againInMs: minute });
    expect(up.kinds(29)).toEqual(['START']);
    expect(up.look(30).idleStop).toEqual({
      sinceMs: startedAtMs,
      reason: 'There was no activity for 30 minutes.',
    });
  });

  it('is not stopped while its supervisor is of a version that cannot say what goes on', () => {
    const up = new UpEnvironment();
    up.protocolVersion = 1;
    expect(up.look(300)).toMatchObject({ idleStop: undefined, activeBecause: [], againInMs: minute });
  });

  it('is held by what an editor says to the plane, named by its source', () => {
    const up = new UpEnvironment();
    up.mark = { source: 'VS Code', atMs: at(25) };
    const [mark] = up.look(40).activeBecause;
    expect([mark?.kind, mark?.name]).toEqual([ActivityKind.MARK, 'VS Code']);
    expect(up.look(55).idleStop?.sinceMs).toBe(at(25));
  });

  it('is not told twice of the signal that came from here', () => {
    const up = new UpEnvironment();
    up.memory.lastActiveMs = at(25);
    up.mark = { source: 'client', atMs: at(25) };
    expect(up.kinds(40)).toEqual(['CLIENT']);
  });

  it('is held by processes that use the CPU, and not by what waits', () => {
    const up = new UpEnvironment();
    for (let minutes = 0; minutes < 40; minutes += 1) {
      up.cpuUsageMs += 0.15 * minute;
      expect(up.look(minutes).idleStop).toBeUndefined();
    }
    expect(up.kinds(40)).toEqual(['CPU']);
    for (let minutes = 41; minutes < 69; minutes += 1) {
      up.cpuUsageMs += 0.03 * minute;
      expect(up.look(minutes).idleStop).toBeUndefined();
    }
    expect(up.look(69).idleStop?.sinceMs).toBe(at(39));
  });

  it('is held by work for the whole timeout after its end, which was between two looks', () => {
    const up = new UpEnvironment();
    up.inside = [{ kind: ActivityKind.TASK, name: 'build', since: timestampFromMs(at(1)) }];
    expect(up.kinds(60)).toEqual(['TASK']);
    expect(up.look(60).idleStopAtMs).toBeUndefined();
    up.inside = [];
    expect(up.look(61)).toMatchObject({ idleStop: undefined, idleStopAtMs: at(91) });
    expect(up.kinds(61)).toEqual(['ENDED_WORK']);
    expect(up.look(91).idleStop?.sinceMs).toBe(at(61));
  });
});

describe('CpuWatch', () => {
  it('begins anew with another instance, a counter that fell and a clock that was set back', () => {
    const cpu = new CpuWatch();
    cpu.look('one', 0, at(0));
    cpu.look('two', minute, at(1));
    expect(cpu.busyAtMs).toBeUndefined();
    cpu.look('two', 0, at(2));
    cpu.look('two', minute, at(1));
    expect(cpu.busyAtMs).toBeUndefined();
    cpu.look('two', 2 * minute, at(2));
    expect(cpu.busyAtMs).toBe(at(2));
  });

  it('looks at no shorter time than half a minute: a look is work as well', () => {
    const cpu = new CpuWatch();
    cpu.look('one', 0, 0);
    cpu.look('one', 2_000, 10_000);
    expect(cpu.busyAtMs).toBeUndefined();
    cpu.look('one', 2_000, 30_000);
    expect(cpu.busyAtMs).toBeUndefined();
    cpu.look('one', 5_000, 60_000);
    expect(cpu.busyAtMs).toBe(60_000);
  });
});
