/**
 * Plane, runner and supervisor of two builds on one home, in every pairing that an update or a way back meets: the
 * previous build's own artefacts, one protocol version apart, below a terminal that is open all the time.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import { softwareVersion } from '@atelier/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Atelier } from './atelier.ts';
import { Counter } from './counter.ts';
import { initOf, type HostProcess } from './host.ts';
import { whyNotHere } from './machine.ts';
import { isMigratedSince, makePreviousBuild, whyNoPreviousBuild } from './previous-build.ts';
import { devcontainer, makeRepository } from './repository.ts';
import { notItsTurn } from './rotation.ts';

const pollMs = 60_000;
/** Left-overs are looked for once a minute. */
const collectedMs = 150_000;

const automations = `services:
  ticker:
    name: ticker
    commands:
      start: i=0; while :; do i=$((i + 1)); echo "tick $i"; sleep 0.2; done
tasks:
  greet:
    name: greet
    command: echo "greetings $((40 + 2))"
`;

const why = whyNotHere() ?? notItsTurn(1) ?? whyNoPreviousBuild();
const isPlaneTooOld = why === undefined && isMigratedSince();
const orNot = isPlaneTooOld ? ' (left out: the older plane refuses the migrated database)' : '';

if (why !== undefined) it('upgrade', ({ skip }) => skip(why));
else
  describe('upgrade', () => {
    let older: Atelier;
    let newer: Atelier;
    let oldBundle: string;
    let init: HostProcess | undefined;
    let id: string;

    beforeAll(async () => {
      older = new Atelier('upgrade', makePreviousBuild());
      newer = new Atelier(older);
      await older.ok('daemon', 'start');
      await older.ok('up', repository('first'));
      id = (await older.status('first')).id;
      init = initOf(id);
      expect(init).toBeDefined();
      [oldBundle = ''] = bundles();
      await older.ok('service', 'start', 'first', 'ticker');
    });
    afterAll(async () => {
      expect(await newer.close()).toEqual([]);
    });

    const repository = (name: string): string =>
      makeRepository(join(older.folder, name), {
        ...devcontainer({ postStartCommand: 'echo started' }),
        '.gitpod/automations.yaml': automations,
      });
    const bundles = (): string[] =>
      readdirSync(join(older.home, 'supervisor')).filter((name) => /^[0-9a-f]{32}$/.test(name));
    const versionsInside = async (name: string): Promise<string | undefined> =>
      (await newer.status(name)).status?.machine?.versions?.supervisorVersion;

    /** What a user does with an environment, by the command line of one build. */
    async function works(atelier: Atelier, name: string): Promise<void> {
      expect(await atelier.inside(name, 'echo "$((40 + 2))"')).toBe('42');
      expect(await atelier.ok('logs', name, 'postStartCommand')).toMatch(/^(started\n)+$/);
      await atelier.ok('task', 'start', name, 'greet');
      await expect
        .poll(() => atelier.ok('task', 'list', name), { timeout: pollMs })
        .toMatch(/^greet +succeeded /m);
      expect(await atelier.ok('task', 'logs', name, 'greet')).toBe('greetings 42\n');
    }

    /** The service's log has every line, and grows: it was read over every link that there was. */
    async function ticks(atelier: Atelier, name: string): Promise<void> {
      const read = async (): Promise<string[]> =>
        (await atelier.begin(['service', 'logs', name, 'ticker'], { input: '' }).ended).stdout
          .trim()
          .split('\n');
      const before = await read();
      let lines = before;
      await expect
        .poll(async () => (lines = await read()).length, { timeout: pollMs })
        .toBeGreaterThan(before.length);
      expect(lines).toEqual(lines.map((_, index) => `tick ${index + 1}`));
    }

    function expectUntouched(): void {
      expect(initOf(id)).toEqual(init);
    }

    it('a newer command restarts the daemon, which goes on with the older supervisor and says so', async () => {
      const counter = await Counter.begin(older, id, '/tmp/update');
      const [{ code, stderr }] = await Promise.all([newer.run('ls'), counter.burst()]);
      expect({ code, stderr }).toMatchObject({
        code: 0,
        stderr: expect.stringContaining(`this is ${softwareVersion}: restarting it, environments go on`),
      });
      await works(newer, 'first');
      await ticks(newer, 'first');
      const shown = await newer.ok('status', 'first');
      expect(shown).toMatch(/is older than the runner .* Stop and start the environment/);
      expect(await versionsInside('first')).not.toBe(softwareVersion);
      counter.type('updated\n');
      await counter.finish('updated');
      expectUntouched();
      await newer.ok('up', repository('second'));
      expect(await versionsInside('second')).toBe(softwareVersion);
      expect(bundles()).toHaveLength(2);
    });

    it.skipIf(isPlaneTooOld)(`an older plane with a newer runner${orNot}`, async () => {
      const counters = await countersBy(older, 'plane');
      await newer.ok('daemon', 'stop');
      await Promise.all(counters.map((each) => each.burst()));
      await older.ok('daemon', 'start', '--plane');
      await newer.ok('daemon', 'start', '--runner');
      for (const name of ['first', 'second']) await works(older, name);
      await finish(counters, 'older plane');
      await older.ok('stop', 'second');
      await older.ok('start', 'second');
      await works(older, 'second');
      expectUntouched();
    });

    it('a newer plane with an older runner, which drives a newer supervisor too', async () => {
      const counters = await countersBy(older, 'runner');
      await older.ok('daemon', 'stop');
      await Promise.all(counters.map((each) => each.burst()));
      await newer.ok('daemon', 'start', '--plane');
      await older.ok('daemon', 'start', '--runner');
      for (const name of ['first', 'second']) await works(older, name);
      await ticks(older, 'first');
      await finish(counters, 'older runner');
      expectUntouched();
    });

    it.skipIf(isPlaneTooOld)(
      `the way back: an older daemon goes on with a newer supervisor, stops and deletes it${orNot}`,
      async () => {
        const counters = await countersBy(older, 'back');
        await older.ok('daemon', 'stop');
        await Promise.all(counters.map((each) => each.burst()));
        await older.ok('daemon', 'start');
        for (const name of ['first', 'second']) await works(older, name);
        await finish(counters, 'way back');
        await older.ok('stop', 'second');
        expect((await older.status('second')).status?.phase).toBe(EnvironmentPhase.STOPPED);
        await older.ok('start', 'second');
        await works(older, 'second');
        await older.ok('delete', 'second');
        expect(await older.names()).toEqual(['first']);
        expectUntouched();
      },
    );

    it('the older supervisor stays on the disk while the environment runs on it, and goes afterwards', async () => {
      const counter = await Counter.begin(older, id, '/tmp/again');
      await Promise.all([newer.run('ls'), counter.burst()]);
      mkdirSync(join(newer.home, 'supervisor', '0'.repeat(32)));
      await expect.poll(bundles, { timeout: collectedMs }).not.toContain('0'.repeat(32));
      expect(bundles()).toContain(oldBundle);
      await works(newer, 'first');
      counter.type('forward again\n');
      await counter.finish('forward again');
      expectUntouched();
      await newer.ok('stop', 'first');
      await newer.ok('start', 'first');
      expect(await newer.ok('status', 'first')).not.toContain('older than the runner');
      expect(await versionsInside('first')).toBe(softwareVersion);
      await works(newer, 'first');
      await expect.poll(bundles, { timeout: collectedMs }).not.toContain(oldBundle);
      await works(newer, 'first');
    });

    async function countersBy(atelier: Atelier, mark: string): Promise<Counter[]> {
      const ids = [id, (await atelier.status('second')).id];
      return Promise.all(ids.map((each) => Counter.begin(atelier, each, `/tmp/${mark}`)));
    }

    async function finish(counters: readonly Counter[], typed: string): Promise<void> {
      for (const counter of counters) {
        counter.type(`${typed}\n`);
        await counter.finish(typed);
      }
    }
  });
