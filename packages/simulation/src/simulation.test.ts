import { describe, expect, it } from 'vitest';
import { plantedDefects } from './defects.ts';
import { simulate, type RunReport } from './run.ts';
import { totals } from './summary.ts';
import { calmWorld, faultKinds, roughWorld } from './world/faults.ts';

const size = { environments: 4, hours: 3 };
const fixedSeeds = [1, 2, 3, 4];
/** Seeds until a planted defect must have shown. */
const seedsMax = 6;
/** What the simulation has to go through, whatever the seeds. */
const phasesVisited = [
  'CREATING',
  'STARTING',
  'RUNNING',
  'UPDATING',
  'STOPPING',
  'STOPPED',
  'DELETING',
  'DELETED',
];

function words({ seed, violations }: RunReport): string[] {
  return violations.map(({ oracle, atMs, environmentId, message }) => {
    return `seed ${seed}, ${new Date(atMs).toISOString()}: ${oracle}: ${environmentId}: ${message}`;
  });
}

describe('a world where nothing goes wrong', () => {
  it('does what its users wish, and no oracle complains', async () => {
    const report = await simulate({ seed: 1, environments: 3, hours: 6, faults: calmWorld });
    expect(words(report)).toEqual([]);
    expect(report.struck).toEqual([]);
    for (const phaseName of phasesVisited)
      expect(report.phases[phaseName], phaseName).toBeGreaterThanOrEqual(1);
    for (const [action, count] of Object.entries(report.actions))
      expect(count, action).toBeGreaterThanOrEqual(1);
  });
});

describe('a rough world', () => {
  const reports: RunReport[] = [];

  it.each(fixedSeeds)('breaks no oracle with seed %i', async (seed) => {
    const report = await simulate({ seed, ...size });
    reports.push(report);
    expect(words(report)).toEqual([]);
  });

  it('breaks no oracle with a seed that nobody chose', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    console.log(`random seed of the simulation: ${seed}`);
    const report = await simulate({ seed, ...size });
    reports.push(report);
    expect(words(report)).toEqual([]);
  });

  it('met every fault and every phase often enough', () => {
    const faults = totals(reports, (report) => report.faults);
    for (const kind of faultKinds) expect(faults[kind], kind).toBeGreaterThanOrEqual(1);
    for (const kind of [
      'driver-error',
      'driver-lost-answer',
      'runner-crash',
      'plane-crash',
      'connection-drop',
    ]) {
      expect(faults[kind], kind).toBeGreaterThanOrEqual(10);
    }
    const phases = totals(reports, (report) => report.phases);
    for (const phaseName of phasesVisited) expect(phases[phaseName], phaseName).toBeGreaterThanOrEqual(5);
  });

  it('is the same again with the same seed', async () => {
    const first =
      reports.find(({ seed }) => seed === fixedSeeds[0]) ?? (await simulate({ seed: 1, ...size }));
    expect((await simulate({ seed: 1, ...size })).digest).toBe(first.digest);
  });
});

describe('a planted defect', () => {
  // Accidents make defects show; single faults would only hide them behind retries.
  const calmer = { driverError: 0, driverFinalError: 0, driverDelay: 0, diskError: 0 };
  const faults = { ...roughWorld, ...calmer, instanceDeath: 0.5, runnerCrashMeanMs: 6 * 60_000 };

  it.each(plantedDefects)('is found: $name', async ({ defect, oracles }) => {
    for (let seed = 1; seed <= seedsMax; seed += 1) {
      const { violations } = await simulate({ seed, ...size, faults, defect, stopAtFirst: true });
      const [first] = violations;
      if (first === undefined) continue;
      expect(oracles).toContain(first.oracle);
      return;
    }
    expect.unreachable(`no oracle saw it in ${seedsMax} seeds`);
  });
});
