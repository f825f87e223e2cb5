import { makeId, type Clock } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { describe, expect, it, vi } from 'vitest';
import { createSimulatedDriver } from './driver.ts';
import type { Fault, FaultMethod, FaultRule } from './faults.ts';
import { SimulatedMachine } from './machine.ts';

const id = makeId(1, systemRandom);

function faulty(rules: FaultRule[], clock: Clock = systemClock) {
  const machine = new SimulatedMachine({ clock, random: systemRandom });
  const seen: [FaultMethod, Fault['kind']][] = [];
  const faults = {
    rules,
    onFault: (method: FaultMethod, fault: Fault) => void seen.push([method, fault.kind]),
  };
  const driver = createSimulatedDriver({ clock, random: systemRandom, machine, faults });
  return { machine, driver, faults, seen };
}

describe('faults', () => {
  it('of the kind error leave nothing done, by the scripted calls', async () => {
    const fault: Fault = { kind: 'error', code: 'unavailable' };
    const { machine, driver, seen } = faulty([{ methods: ['disks.ensure'], fault, when: { calls: [1, 3] } }]);
    await expect(driver.disks.ensure(id)).rejects.toMatchObject({ code: 'unavailable' });
    expect(machine.disks.size).toBe(0);
    await driver.disks.ensure(id);
    await expect(driver.disks.ensure(id)).rejects.toMatchObject({ code: 'unavailable' });
    expect(seen).toEqual([
      ['disks.ensure', 'error'],
      ['disks.ensure', 'error'],
    ]);
  });

  it('that are final have their own code', async () => {
    const fault: Fault = { kind: 'error', code: 'failed_precondition' };
    const { driver } = faulty([{ methods: '*', fault, when: { probability: 1 } }]);
    await expect(driver.networks.list()).rejects.toMatchObject({ code: 'failed_precondition' });
    await expect(driver.probe()).rejects.toMatchObject({ code: 'failed_precondition' });
  });

  it('of the kind lost answer happen all the same', async () => {
    const rule: FaultRule = { methods: '*', fault: { kind: 'lost-answer' }, when: { probability: 1 } };
    const { machine, driver, faults } = faulty([rule]);
    await expect(driver.disks.ensure(id)).rejects.toMatchObject({ code: 'unavailable' });
    expect(machine.disks.has(id)).toBe(true);
    const digest = machine.addImage('localhost/a');
    faults.rules = [];
    await driver.disks.ensureGeneration(id, 1, digest);
    const start = {
      name: `${id}-main-1`,
      environmentId: id,
      root: { kind: 'disk', generation: 1 },
      mounts: [],
      network: 'none',
      environment: {},
      hostname: 'a',
      limits: { cpuWeight: 100, memoryBytesMax: 1, processesMax: 1 },
    } as const;
    await driver.instances.start(start);
    faults.rules = [rule];
    await expect(driver.instances.stop(start.name, 0)).rejects.toMatchObject({ code: 'unavailable' });
    expect(machine.instances.get(start.name)?.state).toBe('ended');
  });

  it('of the kind delay wait on the clock that was given', async () => {
    const waiting: { afterMs: number; fire: () => void }[] = [];
    const clock: Clock = {
      nowMs: () => 0,
      timer: (afterMs, fire) => {
        waiting.push({ afterMs, fire });
        return { cancel: () => {} };
      },
    };
    const fault: Fault = { kind: 'delay', delayMs: 1234 };
    const { machine, driver } = faulty([{ methods: '*', fault, when: { probability: 1 } }], clock);
    const made = driver.disks.ensure(id);
    await vi.waitFor(() => expect(waiting).toHaveLength(1));
    expect(machine.disks.size).toBe(0);
    expect(waiting[0]?.afterMs).toBe(1234);
    waiting[0]?.fire();
    expect((await made).environmentId).toBe(id);
  });

  it('of the kind block end when they are released, or with the caller', async () => {
    let release = (): void => {};
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { machine, driver } = faulty([
      { methods: '*', fault: { kind: 'block', until }, when: { probability: 1 } },
    ]);
    const abort = new AbortController();
    const pulled = driver.images.ensure({ kind: 'base' }, () => {}, abort.signal);
    const made = driver.disks.ensure(id);
    abort.abort();
    await expect(pulled).rejects.toMatchObject({ code: 'canceled' });
    expect(machine.disks.size).toBe(0);
    release();
    await made;
    expect(machine.disks.size).toBe(1);
  });

  it('hit about as many calls as their chance says, the first rule first', async () => {
    const rules: FaultRule[] = [
      { methods: ['disks.list'], fault: { kind: 'lost-answer' }, when: { probability: 0.5 } },
      { methods: '*', fault: { kind: 'error', code: 'unavailable' }, when: { probability: 0 } },
    ];
    const { driver, seen } = faulty(rules);
    await Promise.allSettled(Array.from({ length: 400 }, () => driver.disks.list()));
    expect(seen.length).toBeGreaterThan(100);
    expect(seen.length).toBeLessThan(300);
  });
});
