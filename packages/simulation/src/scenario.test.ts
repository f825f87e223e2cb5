import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { simulate, type RunOptions, type RunReport } from './run.ts';
import { readScenario, replayOf, writeScenario } from './scenario.ts';
import { shrink } from './shrink.ts';

const folder = new URL('../scenarios/', import.meta.url);

describe('a kept scenario', () => {
  it.each(readdirSync(folder))('%s breaks no rule any more', async (name) => {
    const scenario = readScenario(readFileSync(new URL(name, folder), 'utf8'));
    expect(scenario.users?.length).toBeGreaterThan(0);
    const { violations } = await simulate(replayOf(scenario));
    expect(violations).toEqual([]);
  });

  it('is read as it was written', () => {
    const scenario = { seed: 7, hours: 1.5, users: [0, 3], permitted: ['sleep#1', 'driver-error#22'] };
    expect(readScenario(writeScenario(scenario, 'two lines\nof reasons'))).toEqual(scenario);
    expect(() => readScenario('wind 3')).toThrow(/no line "wind 3"/);
  });
});

describe('shrinking', () => {
  /** Breaks a rule when user 2 is there and two certain faults strike. */
  const attempt = async ({ users = [], permitted }: RunOptions): Promise<RunReport> => {
    const all = Array.from({ length: 40 }, (_, index) => `${index % 2 ? 'sleep' : 'reboot'}#${index}`);
    const struck = all.filter((name) => permitted?.includes(name) ?? true);
    const broken = users.includes(2) && struck.includes('sleep#7') && struck.includes('reboot#30');
    const violation = { oracle: 'a rule', atMs: 0, awakeForMs: 5_400_000, environmentId: '', message: '' };
    return { struck, violations: broken ? [violation] : [] } as unknown as RunReport;
  };

  it('leaves only what a rule is broken by', async () => {
    const shrunk = await shrink({ seed: 3, environments: 8, hours: 24 }, 200, attempt);
    expect(shrunk?.scenario).toEqual({
      seed: 3,
      hours: 1.5,
      users: [2],
      permitted: ['sleep#7', 'reboot#30'],
    });
  });

  it('gives nothing for a run that breaks nothing', async () => {
    expect(await shrink({ seed: 3, environments: 2, hours: 24 }, 200, attempt)).toBeUndefined();
  });

  it('a real run with the faults that struck is the same run', async () => {
    const size = { seed: 5, environments: 2, hours: 1 };
    const whole = await simulate(size);
    const replayed = await simulate({ ...size, permitted: whole.struck });
    expect(replayed.digest).toBe(whole.digest);
    expect(whole.struck.length).toBeGreaterThan(20);
    expect((await simulate({ ...size, permitted: [] })).struck).toEqual([]);
  });
});
