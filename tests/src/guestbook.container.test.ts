import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { EnvironmentStatus_DevContainer_Phase as DevContainerPhase } from '@atelier/api/gitpod/environment';
import { expect, it } from 'vitest';
import { describeAtelier, type Atelier, type Begun } from './atelier.ts';
import { makeRepository } from './repository.ts';

const example = join(import.meta.dirname, '../../examples/guestbook');

/** Packages are fetched while its image is built. */
const buildMs = 600_000;

/** What the life-cycle commands left behind, and what a person had made, before a stop. */
const keptFiles = [
  '/workspaces/guestbook/draft.txt',
  '/root/.bash_history',
  '/var/lib/guestbook/notes',
  '/var/lib/guestbook/once',
];

function forward(atelier: Atelier): Begun {
  return atelier.begin(['forward', 'guestbook', '8080:0', '-o', 'json']);
}

async function addressOf({ said }: Begun): Promise<string> {
  await expect.poll(() => said.stdout, { timeout: 60_000 }).toContain('localPort');
  const { host, localPort } = JSON.parse(said.stdout) as { host: string; localPort: number };
  return `http://${host}:${localPort}`;
}

async function signed(atelier: Atelier): Promise<string> {
  const query = 'select name from entries order by id';
  return atelier.inside('guestbook', `psql -qtA -c '${query}'`);
}

describeAtelier('guestbook example', (atelier) => {
  let folder: string;

  it(
    'comes up with its services',
    async () => {
      folder = join(atelier().folder, 'guestbook');
      cpSync(example, folder, { recursive: true });
      makeRepository(folder, {});
      const { code, stdout, stderr } = await atelier().run('up', folder);
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/phase +running\n/);
      expect(stdout).toMatch(/services +database running\n +web running\n/);
      expect(stdout).toMatch(/ports +8080\n/);
      expect(stdout).not.toContain('warnings');
      for (const step of ['content', 'image', 'instance', 'supervisor', 'postCreateCommand']) {
        expect(stderr).toMatch(RegExp(`^✓ ${step} +[\\d.]+ (ms|s|min)`, 'm'));
      }
      const { status } = await atelier().status('guestbook');
      expect(status?.devcontainer).toMatchObject({
        phase: DevContainerPhase.RUNNING,
        remoteUser: 'root',
        remoteWorkspaceFolder: '/workspaces/guestbook',
      });
    },
    buildMs,
  );

  it('is as its devcontainer.json says', async () => {
    const said = await atelier().inside(
      'guestbook',
      'id -u; pwd; echo $GUESTBOOK_GREETING $GUESTBOOK_PORT $GUESTBOOK_FOLDER; command -v database; cat /var/lib/guestbook/notes; git status --porcelain --ignored',
    );
    const [user, folderInside, ...others] = said.split('\n');
    expect([user, folderInside]).toEqual(['0', '/workspaces/guestbook']);
    expect(others.slice(0, 3)).toEqual([
      'welcome 8080 /workspaces/guestbook',
      '/workspaces/guestbook/bin/database',
      'made for guestbook',
    ]);
  });

  it('answers on its port through forward', async () => {
    const forwarding = forward(atelier());
    const url = await addressOf(forwarding);
    expect(await (await fetch(`${url}/health`)).text()).toBe('ok');
    const form = new URLSearchParams({ name: 'Ada', message: 'hello <b>' });
    expect((await fetch(url, { method: 'POST', body: form })).status).toBe(200);
    expect(await (await fetch(url)).text()).toMatch(/Guestbook: welcome.*<b>Ada<\/b>: hello &lt;b&gt;/s);
    forwarding.child.kill('SIGINT');
    expect(await forwarding.ended).toMatchObject({ code: 0 });
    await expect(fetch(url)).rejects.toThrow('fetch failed');
  });

  it('changes nothing when up is said again', async () => {
    const before = await atelier().status('guestbook');
    const { code, stdout, stderr } = await atelier().run('up', folder);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/services +database running\n +web running\n/);
    const after = await atelier().status('guestbook');
    expect(after.spec).toEqual(before.spec);
    expect(after.status?.detail?.boot).toBe(before.status?.detail?.boot);
    expect(await atelier().names()).toEqual(['guestbook']);
  });

  it('runs its test task', async () => {
    const execution = (await atelier().ok('task', 'start', 'guestbook', 'test')).trim();
    expect(execution).toMatch(/^[0-9a-f-]{36}$/);
    const log = await atelier().ok('task', 'logs', '-f', 'guestbook', 'test');
    expect(log).toMatch(/the guestbook works: tester-\d+ has signed/);
    await expect
      .poll(() => atelier().ok('task', 'list', 'guestbook'), { timeout: 30_000 })
      .toMatch(/^test +succeeded /m);
  });

  it('keeps what was made in it over a stop and a start', async () => {
    const install = 'apt-get install -y cowsay';
    await atelier().inside(
      'guestbook',
      `(${install}) >/dev/null 2>&1 && echo draft > draft.txt && echo changed >> README.md && echo once > /var/lib/guestbook/once`,
    );
    const shell = atelier().begin(['exec', '-t', 'guestbook', '--', 'bash', '-i']);
    shell.child.stdin?.write('echo remember $((20 + 22))\n');
    await expect.poll(() => shell.said.stdout, { timeout: 60_000 }).toContain('remember 42');
    shell.child.stdin?.end('exit\n');
    expect((await shell.ended).code).toBe(0);
    const before = await signed(atelier());
    expect(before).toMatch(/^Ada\ntester-\d+$/);
    // Life-cycle commands that belong to the making of the dev container would make their files anew.
    const changedAt = await atelier().inside('guestbook', `stat -c '%n %Y' ${keptFiles.join(' ')}`);
    const startedAt = await atelier().inside('guestbook', 'stat -c %Y /var/lib/guestbook/started');
    await atelier().ok('stop', 'guestbook');
    expect(await atelier().ok('ls')).toMatch(/^guestbook +stopped/m);
    expect((await atelier().run('exec', 'guestbook', 'true')).code).toBe(255);
    const { code, stderr } = await atelier().run('up', folder);
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/initializeCommand|onCreateCommand|updateContentCommand|postCreateCommand/);
    expect(stderr).toMatch(/^✓ postStartCommand /m);
    expect(await signed(atelier())).toBe(before);
    expect(await atelier().inside('guestbook', '/usr/games/cowsay moo')).toContain('< moo >');
    expect(await atelier().inside('guestbook', `stat -c '%n %Y' ${keptFiles.join(' ')}`)).toBe(changedAt);
    expect(await atelier().inside('guestbook', 'stat -c %Y /var/lib/guestbook/started')).not.toBe(startedAt);
    expect(await atelier().inside('guestbook', 'tail -n 2 /root/.bash_history')).toContain('echo remember');
    expect(await atelier().inside('guestbook', 'git status --porcelain')).toBe(' M README.md\n?? draft.txt');
    await expect
      .poll(async () => (await atelier().status('guestbook')).status?.content?.git?.totalChangedFiles, {
        timeout: 60_000,
      })
      .toBe(2);
  });

  it('leaves nothing when it is deleted', async () => {
    await atelier().ok('delete', 'guestbook');
    expect(await atelier().names()).toEqual([]);
    expect(await atelier().leftovers()).toEqual([]);
  });
});
