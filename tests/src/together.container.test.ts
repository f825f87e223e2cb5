import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Atelier, describeAtelier } from './atelier.ts';
import { initOf, processesWith } from './host.ts';
import { devcontainer, makeRepository } from './repository.ts';

const pollMs = 60_000;

/** Exit code of a command that a person interrupted. */
const interrupted = 130;

describeAtelier('together and interrupted', (atelier) => {
  let folder: string;
  let other: Atelier | undefined;

  beforeAll(() => {
    folder = makeRepository(join(atelier().folder, 'shared'), { 'a.txt': 'a' });
    other = new Atelier('other');
  });

  afterAll(async () => {
    expect(await other?.close()).toEqual([]);
  });

  const neighbour = (): Atelier => {
    if (!other) throw new Error('not made yet');
    return other;
  };

  it('two commands on a new home make one daemon, and a second process is refused with words', async () => {
    const both = await Promise.all([1, 2].map(() => neighbour().run('daemon', 'start', '-o', 'json')));
    expect(both, JSON.stringify(both)).toMatchObject([{ code: 0 }, { code: 0 }]);
    const [one, two] = both.map(({ stdout }) => (JSON.parse(stdout) as { pid: number }).pid);
    expect(one).toBe(two);
    const options = JSON.stringify({ halves: ['plane', 'runner'], driverName: 'oci' });
    const { code, stderr } = await neighbour().run('daemon', 'serve', neighbour().home, options);
    expect(code).toBe(6);
    expect(stderr).toContain(`process ${one} is the plane of ${neighbour().home} already`);
    expect((await neighbour().daemon()).pid).toBe(one);
  });

  it('four commands on one folder and two homes make one environment in each, and each lives alone', async () => {
    const homes = [atelier(), atelier(), neighbour(), neighbour()];
    const ups = await Promise.all(homes.map((home) => home.run('up', folder)));
    expect(
      ups.map(({ code }) => code),
      JSON.stringify(ups),
    ).toEqual([0, 0, 0, 0]);
    const [mine, theirs] = await Promise.all(
      [atelier(), neighbour()].map(async (home) => {
        expect(await home.names()).toEqual(['shared']);
        await home.inside('shared', `echo ${home.home} > mark`);
        return (await home.status('shared')).id;
      }),
    );
    expect(mine).not.toBe(theirs);
    const init = initOf(theirs ?? '');
    expect(init).toBeDefined();
    expect(initOf(mine ?? '')).toBeDefined();
    await atelier().ok('delete', 'shared');
    expect(initOf(mine ?? '')).toBeUndefined();
    expect(await atelier().leftovers()).toEqual([]);
    expect(initOf(theirs ?? '')).toEqual(init);
    expect(await neighbour().inside('shared', 'cat mark')).toBe(neighbour().home);
    expect(await neighbour().leftovers()).toEqual([]);
  });

  it('up goes on without whoever interrupts it, and is returned to', async () => {
    const slow = makeRepository(
      join(atelier().folder, 'slow'),
      devcontainer({ onCreateCommand: 'echo begun >> /runs; until [ -e /go ]; do sleep 0.1; done' }),
    );
    const mark = randomUUID();
    const up = atelier().begin(['up', slow], { input: '', variables: { ATELIER_TEST_MARK: mark } });
    const client = await atelier().client();
    const find = () => client.environments.find('slow').catch(() => undefined);
    await expect
      .poll(async () => (await find())?.status?.detail?.steps.map(({ name }) => name), { timeout: pollMs })
      .toContain('lifecycle/onCreateCommand');
    const { id } = (await find()) ?? {};
    up.child.kill('SIGINT');
    const { code, stderr } = await up.ended;
    expect(code).toBe(interrupted);
    expect(stderr).toContain(
      'environment slow goes on without you\n  atelier status slow\n  atelier delete slow\n',
    );
    expect(processesWith('ATELIER_TEST_MARK', mark)).toEqual([]);
    const again = atelier().begin(['up', slow], { input: '' });
    await atelier().inside('slow', 'touch /go');
    const ended = await again.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect((await atelier().status('slow')).id).toBe(id);
    expect(await atelier().inside('slow', 'cat /runs')).toBe('begun');
  });

  it('up that is interrupted on a terminal leaves the daemon that it was starting', async () => {
    await atelier().ok('daemon', 'stop');
    const up = atelier().beginOnTerminal(['up', folder]);
    await expect.poll(() => up.said.stdout, { timeout: pollMs }).toContain('starting it');
    // Ctrl-C, as the terminal of this machine turns it into a signal to all that runs on it.
    up.child.stdin?.write('\u0003');
    const { code, stdout } = await up.ended;
    expect(code, stdout).toBe(interrupted);
    expect(stdout).toContain('the daemon goes on starting without you');
    const again = await atelier().run('up', folder);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).not.toContain('failed');
    expect(await atelier().names()).toEqual(['shared', 'slow']);
  });
});
