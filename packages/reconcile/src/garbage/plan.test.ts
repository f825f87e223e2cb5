import { instanceName } from '@atelier/api';
import { describe, expect, it } from 'vitest';
import { gracePasses, planGarbage, type GarbageFacts, type GarbagePlan } from './plan.ts';

const known = '00000000-0000-7000-8000-000000000001';
const unknown = '00000000-0000-7000-8000-000000000002';
const nowMs = 1000;

const nothing: GarbageFacts = {
  environmentIds: new Set([known]),
  tombstones: new Set(),
  leases: [],
  disks: [],
  networks: [],
  instances: [],
  pins: [],
  suspects: new Map(),
  nowMs,
};

/** The plans of that many passes over the same machine. */
function passes(count: number, facts: Partial<GarbageFacts>): GarbagePlan[] {
  const plans: GarbagePlan[] = [];
  for (let pass = 0; pass < count; pass += 1) {
    plans.push(planGarbage({ ...nothing, ...facts, suspects: plans.at(-1)?.suspects ?? new Map() }));
  }
  return plans;
}

function removals(plan: GarbagePlan | undefined): readonly string[] {
  return [
    ...(plan?.instances ?? []),
    ...(plan?.networks ?? []),
    ...(plan?.pins ?? []),
    ...(plan?.disks ?? []),
  ];
}

describe('planGarbage', () => {
  it('leaves everything of a desired environment alone for ever', () => {
    const main = instanceName(known, 'main', 1);
    const facts = { disks: [known], networks: [known], pins: [known], instances: [main] };
    for (const plan of passes(5, facts)) expect(removals(plan)).toEqual([]);
  });

  it('removes what is of an unknown environment after the grace, its disk never', () => {
    const main = instanceName(unknown, 'main', 3);
    const facts = { disks: [unknown], instances: [main], networks: [unknown], pins: [unknown] };
    const plans = passes(gracePasses + 1, facts);
    for (const plan of plans.slice(0, gracePasses)) expect(removals(plan)).toEqual([]);
    expect(removals(plans.at(-1))).toEqual([main]);
    for (const plan of plans) expect(plan.orphanDisks).toEqual([unknown]);
    const after = planGarbage({
      ...nothing,
      ...facts,
      instances: [],
      suspects: plans.at(-1)?.suspects ?? new Map(),
    });
    expect(removals(after)).toEqual([unknown]);
    expect(after.networks).toEqual([unknown]);
    expect(after.pins).toEqual([]);
  });

  it('begins anew when something was wanted in between', () => {
    const [first] = passes(1, { networks: [unknown] });
    const wanted = planGarbage({
      ...nothing,
      networks: [unknown],
      environmentIds: new Set([known, unknown]),
      suspects: first?.suspects ?? new Map(),
    });
    expect(wanted.suspects.size).toBe(0);
  });

  it('removes a disk that a tombstone names, when nothing runs on it', () => {
    const tombstones = new Set([unknown, known]);
    const facts = { ...nothing, tombstones, disks: [known, unknown] };
    expect(planGarbage(facts).disks).toEqual([unknown]);
    expect(planGarbage(facts).orphanDisks).toEqual([]);
    expect(planGarbage({ ...facts, instances: [instanceName(unknown, 'main', 1)] }).disks).toEqual([]);
  });

  it('removes a throw-away instance at once unless a lease that lasts holds it', () => {
    const name = instanceName(known, 'content', 1);
    const plan = (leases: GarbageFacts['leases']) =>
      planGarbage({ ...nothing, instances: [name], leases }).instances;
    expect(plan([])).toEqual([name]);
    expect(plan([{ owner: name, expiresAtMs: nowMs }])).toEqual([name]);
    expect(plan([{ owner: name, expiresAtMs: nowMs + 1 }])).toEqual([]);
    expect(plan([{ owner: known, expiresAtMs: nowMs + 1 }])).toEqual([]);
  });

  it('leaves what a lease of an unknown environment holds', () => {
    const leases = [{ owner: unknown, expiresAtMs: nowMs + 1 }];
    const facts = { leases, disks: [unknown], networks: [unknown], pins: [unknown] };
    const plan = passes(4, facts).at(-1);
    expect(removals(plan)).toEqual([]);
    expect(plan?.orphanDisks).toEqual([]);
  });
});
