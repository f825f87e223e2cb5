/** What a person meets who gets something wrong: the exit code, and words that say what, where and what now. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  EnvironmentPhase,
  EnvironmentService,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
} from '@atelier/api/gitpod/environment';
import { runProcess } from '@atelier/sdk';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { commandRows, damagedRecords, homeRows, remoteRows } from './bad-commands.ts';
import { automationRows, configurationRows } from './bad-files.ts';
import { hungUpFile, poseAsSupervisor, supervisorRows } from './bad-supervisor.ts';
import { describeAtelier, type Atelier, type Begun, type Ended } from './atelier.ts';
import { devcontainer, git, makeRepository } from './repository.ts';
import { rotating } from './rotation.ts';
import { RemoteHost } from './remote-host.ts';

const patienceMs = 120_000;

/** Exit codes, by the kind of error. */
const failedPrecondition = 7;

describeAtelier('bad input', (atelier) => {
  let remote: RemoteHost;
  let spoilt: string;
  let slow: Record<'image' | 'host' | 'silence', Begun>;

  beforeAll(async () => {
    const { folder } = atelier();
    remote = new RemoteHost();
    // The ssh keys of the user who runs the daemon are looked for in that user's home.
    const userHome = join(folder, 'user');
    mkdirSync(join(userHome, '.ssh'), { recursive: true });
    await remote.serveSsh(folder, join(folder, 'key'));
    await serveRepositories(folder, remote);
    await atelier().ok('daemon', 'stop');
    const variables = { HOME: userHome };
    const started = await atelier().begin(['daemon', 'start'], { input: '', variables }).ended;
    expect(started.code, started.stderr).toBe(0);
    spoilt = makeRepository(join(folder, 'spoilt'), { 'a.txt': 'a' });
    const up = await atelier().run('up', spoilt);
    expect(up.code, up.stderr).toBe(0);
    // What takes its time goes on beside the rest.
    const refusing = makeRepository(
      join(folder, 'slow-image'),
      devcontainer({ image: '127.0.0.1:1/team/tool:1' }),
    );
    const begin = (...words: string[]): Begun => atelier().begin(['up', ...words], { input: '' });
    slow = {
      image: begin(refusing),
      host: begin('--name', 'slow-host', 'https://nowhere.invalid/team/tool.git'),
      silence: begin('--name', 'slow-silence', `http://${remote.address}/silent/tool.git`),
    };
  }, patienceMs);

  afterAll(() => remote.close());

  /** What was said to the person: progress is left out, and what differs from run to run. */
  const words = ({ stdout, stderr }: Ended): string => {
    const [, warnings = ''] = /^warnings +((?:.*\n)(?: +.*\n)*)/m.exec(stdout) ?? [];
    return `${warnings.replace(/\n +/g, '\n')}${stderr}`
      .split('\n')
      .filter((line) => !/^[✓✗] |^rebuilding|^environment \S+ of |^$/.test(line))
      .join('\n')
      .replaceAll(atelier().folder, '<folder>')
      .replaceAll(remote.address, '<remote>')
      .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>')
      .replaceAll(/time="[^"]*"/g, 'time=<time>')
      .replaceAll(/process \d+/g, 'process <pid>');
  };

  describe('on the command line', () => {
    it.each(rotating(commandRows))('%j', async (given, code, said) => {
      const ended = await atelier().run(...given);
      expect(words(ended)).toBe(said);
      expect(ended.code).toBe(code);
    });

    it('a local port that is in use, and a port where nothing listens', async () => {
      const one = atelier().begin(['forward', 'spoilt', '4711:0']);
      await expect.poll(() => one.said.stdout, { timeout: patienceMs }).toMatch(/:\d+\n/);
      const [, port = ''] = /:(\d+)\n/.exec(one.said.stdout) ?? [];
      const other = await atelier().run('forward', 'spoilt', `4712:${port}`);
      expect(other).toMatchObject({
        code: failedPrecondition,
        stderr: `atelier: local port ${port} is in use on this machine; choose another\n`,
      });
      await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed');
      await expect.poll(() => words({ code: 0, ...one.said })).toMatch(/^port 4711: .*$/m);
      one.child.kill('SIGINT');
      expect((await one.ended).code).toBe(0);
      expect(words(await one.ended)).toBe(
        `forwarding 127.0.0.1:${port} to port 4711 of spoilt\nport 4711: Nothing answers on port 4711 inside: connect ECONNREFUSED 127.0.0.1:4711; connect ECONNREFUSED ::1:4711`,
      );
    });
  });

  describe('a home that cannot be used', () => {
    it.each(homeRows)('%s', async (home, code, said) => {
      const { folder } = atelier();
      writeFileSync(join(folder, 'file'), '');
      mkdirSync(join(folder, 'closed'), { recursive: true, mode: 0o700 });
      const place = home.startsWith('/') ? home : join(folder, home);
      const { ended } = atelier().begin(['up', spoilt], { input: '', variables: { ATELIER_HOME: place } });
      expect(words(await ended)).toBe(said);
      expect((await ended).code).toBe(code);
    });
  });

  async function inside(script: string): Promise<string> {
    const client = await atelier().client();
    const { id } = await client.environments.find('spoilt');
    const printed: Uint8Array[] = [];
    const { ended } = runProcess(client, id, {
      arguments: ['sh', '-ec', `cd /workspaces/spoilt\n${script}`],
      onOutput: (_, data) => void printed.push(data),
    });
    const { exitCode, failureMessage } = await ended;
    const said = Buffer.concat(printed).toString().trimEnd();
    expect({ exitCode, failureMessage }, said).toEqual({ exitCode: 0, failureMessage: '' });
    return said;
  }

  const rebuild = (): Promise<Ended> => atelier().run('up', '--rebuild', '--name', 'spoilt', spoilt);

  describe('in a devcontainer.json', () => {
    it.each(rotating(configurationRows))('%s', async (_what, script, outcome, said) => {
      await inside(`rm -rf .devcontainer; mkdir .devcontainer; cd .devcontainer\n${script}`);
      const ended = await rebuild();
      const [first = ''] = words(ended).split('\n  atelier shell');
      expect(first.replace('environment spoilt runs in recovery: ', '')).toBe(said);
      expect(ended.code).toBe(outcome === 'recovery' ? failedPrecondition : 0);
      if (outcome !== 'recovery') return;
      const { status } = await atelier().status('spoilt');
      expect(status).toMatchObject({ phase: EnvironmentPhase.RUNNING, failureMessage: [] });
      expect(status?.devcontainer?.phase).toBe(DevContainerPhase.FAILED);
    });

    it('and a life-cycle command that fails: its log says why, and a shell is there to mend it', async () => {
      await inside(
        `rm -rf .devcontainer; echo '{ "postCreateCommand": "echo so sad >&2; exit 3" }' > .devcontainer.json`,
      );
      const ended = await rebuild();
      expect(words(ended)).toBe(
        [
          'environment spoilt runs, but postCreateCommand failed: exited with code 3: so sad',
          '  atelier logs spoilt postCreateCommand',
          '  atelier shell spoilt',
          '  atelier up --rebuild --name spoilt',
        ].join('\n'),
      );
      expect(ended.code).toBe(failedPrecondition);
      expect(await atelier().ok('logs', 'spoilt', 'postCreateCommand')).toContain('so sad\n');
      const shell = atelier().begin(['shell', 'spoilt'], { input: 'echo {} > .devcontainer.json\nexit 5\n' });
      expect((await shell.ended).code).toBe(5);
      const mended = await rebuild();
      expect(mended.code, mended.stderr).toBe(0);
      expect(mended.stdout).toMatch(/^phase +running$/m);
    });
  });

  describe('in an automations file', () => {
    it.each(rotating(automationRows))('%s', async (_what, script, code, said) => {
      await inside(`rm -rf .gitpod; mkdir .gitpod; cd .gitpod\n${script}`);
      const client = await atelier().client();
      const { id: environmentId } = await client.environments.find('spoilt');
      const session = `row-${Math.random()}`;
      await client
        .service(EnvironmentService)
        .updateEnvironment({ environmentId, spec: { automationsFile: { session } } });
      await client.environments.waitFor(environmentId, ({ environment }) =>
        environment?.status?.automationsFile?.session === session ? true : undefined,
      );
      const ended = await atelier().run('up', spoilt);
      expect(words(ended)).toBe(said);
      expect(ended.code).toBe(code);
    });
  });

  describe('in content', () => {
    it.each(remoteRows)('%s', async (_what, source, said) => {
      const given = source.replace('<remote>', remote.address).replace('<folder>', atelier().folder);
      const ended = await atelier().run('up', given);
      const [first = ''] = words(ended).split('\n  atelier logs');
      expect(first).toBe(said);
      expect(ended.code).toBe(failedPrecondition);
    });

    it('and what is right is cloned over http, and over ssh with a key of the user', async () => {
      const { folder } = atelier();
      const http = await atelier().run('up', '--name', 'cloned', `http://${remote.address}/tool.git`);
      expect(http.code, http.stderr).toBe(0);
      expect(await atelier().inside('cloned', 'cat tool.txt')).toBe('tool');
      writeFileSync(join(folder, 'user/.ssh/id_ed25519'), readFileSync(join(folder, 'key')), { mode: 0o600 });
      const ssh = await atelier().run(
        'up',
        '--name',
        'keyed',
        `root@${remote.address}:${folder}/served/tool.git`,
      );
      expect(ssh.code, ssh.stderr).toBe(0);
      expect(await atelier().inside('keyed', 'cat tool.txt; ls /mnt')).toBe('tool');
    });
  });

  describe('that takes its time', () => {
    it.each<[what: keyof typeof slow, said: RegExp]>([
      [
        'host',
        /^environment slow-host failed: nowhere\.invalid cannot be reached from the environment\. Check the address, and whether the host answers\.\nfatal: .*Could not resolve host: nowhere\.invalid\nIt was tried 5 times\.\n/,
      ],
      [
        'image',
        /^environment slow-image runs in recovery: image 127\.0\.0\.1:1\/team\/tool:1 cannot be pulled from 127\.0\.0\.1:1: the registry cannot be reached: check the network, proxy settings and the name of the registry\. It said: .*connection refused.*\nIt was tried 5 times\.\n/s,
      ],
      [
        'silence',
        /^environment slow-silence failed: <remote> accepted the connection and then sent nothing for a minute\. Try again when it answers\.\n/,
      ],
    ])('%s', { timeout: 300_000 }, async (what, said) => {
      const ended = await slow[what].ended;
      expect(words(ended)).toMatch(said);
      expect(ended.code).toBe(failedPrecondition);
    });
  });

  describe('planted inside reaches nothing outside', () => {
    it('a program in the repository’s git configuration, and links in its place', async () => {
      const { folder } = atelier();
      writeFileSync(join(folder, 'secret.yaml'), 'tasks: { stolen: { name: Stolen, command: "true" } }\n');
      await inside(
        [
          `mkdir -p '${folder}'`,
          `printf '#!/bin/sh\\nid -u >> ${folder}/ran\\n' > watch; chmod +x watch`,
          'git config core.fsmonitor "$PWD/watch"',
          'echo changed >> a.txt; rm -rf .devcontainer .devcontainer.json .gitpod; mkdir .gitpod',
          'ln -s /etc .devcontainer',
          `ln -s '${folder}/secret.yaml' .gitpod/automations.yaml`,
        ].join('\n'),
      );
      // The folder of the link is there inside, and the file is not: nobody looks for it outside.
      expect(words(await rebuild())).toBe(
        'environment spoilt runs, but its automations do not: .gitpod/automations.yaml cannot be used: it is a link that leads to no file. Put a file there, or nothing.',
      );
      expect(await atelier().ok('task', 'list', 'spoilt')).not.toContain('stolen');
      await inside(`mkdir -p '${folder}'; git status --short > /dev/null; grep -q 0 '${folder}/ran'`);
      await expect
        .poll(async () => (await atelier().status('spoilt')).status?.content?.git?.totalChangedFiles, {
          timeout: patienceMs,
        })
        .toBeGreaterThan(0);
      expect(existsSync(join(folder, 'ran'))).toBe(false);
    });

    it('a link in the folder of the supervisor’s socket', async () => {
      const said = await inside(
        [
          `socket=$(tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^ATELIER_SOCKET=//p')`,
          'folder=$(dirname "$socket")',
          'rm -f "$socket" 2>&1 || true; ln -s /etc/passwd "$folder/planted" 2>&1 || true',
          'mount -o remount,rw "$folder" 2>&1 || true; mv "$folder" /elsewhere 2>&1 || true',
          'test -S "$socket" && echo still there',
        ].join('\n'),
      );
      expect(said).toMatch(/still there$/);
      expect(said.match(/Read-only file system/g)?.length).toBeGreaterThanOrEqual(2);
      expect(await atelier().inside('spoilt', 'echo alive')).toBe('alive');
    });

    it.each(supervisorRows)('in the place of the supervisor: %s', async (what, warning) => {
      const { pid } = await atelier().daemon();
      await inside(poseAsSupervisor(what));
      // The runner hangs up, and listens to the real one again.
      await vi.waitFor(async () => expect(await inside(`cat ${hungUpFile}`)).toBe(what), patienceMs);
      const { status } = await atelier().status('spoilt');
      expect(status?.phase).toBe(EnvironmentPhase.RUNNING);
      expect(status?.machine?.warningMessage).toBe(warning);
      expect((await atelier().daemon()).pid).toBe(pid);
    });
  });

  damagedHome(atelier, words);
});

/** Files of a home that something wrote over: nothing is lost, and the words say what to do. */
function damagedHome(atelier: () => Atelier, words: (ended: Ended) => string): void {
  describe('a damaged home', () => {
    const at = (name: string): string => join(atelier().home, name);

    it.each(damagedRecords)('daemon.json is %j', async (text) => {
      const { pid } = await atelier().daemon();
      writeFileSync(at('daemon.json'), text);
      const status = await atelier().run('daemon', 'status');
      expect(words(status)).toBe(
        'atelier: process <pid> is the daemon of <folder>/home, but nothing there says how it is reached: it is starting, or <folder>/home/daemon.json is damaged; "atelier daemon start" waits for it and mends that',
      );
      expect(status.code).toBe(11);
      expect(await atelier().names()).toContain('spoilt');
      expect((await atelier().daemon()).pid).toBe(pid);
    });

    it('the token is another, no text, or gone', async () => {
      const advice =
        'If the home is yours, "atelier daemon stop" and then "atelier daemon start" write it anew; environments run on.';
      const token = readFileSync(at('token'));
      for (const [bytes, said] of [
        ['another', `atelier: the bearer token is not known here\n  ${advice}`],
        ['\u0001\u00ff', `atelier: the token in <folder>/home/token is of no use: it is damaged. ${advice}`],
        [undefined, `atelier: the token in <folder>/home/token is of no use: it is gone. ${advice}`],
      ] as const) {
        if (bytes === undefined) rmSync(at('token'));
        else writeFileSync(at('token'), bytes);
        const ended = await atelier().run('ls');
        expect(words(ended)).toBe(said);
        expect(ended.code).toBe(3);
      }
      // A daemon makes another one when it starts; the rows below have to go on with this one.
      writeFileSync(at('token'), token, { mode: 0o600 });
    });

    it('the ledger is torn: it is set aside and comes anew, and what runs runs on', async () => {
      const { status } = await atelier().status('spoilt');
      await atelier().ok('daemon', 'stop');
      writeFileSync(at('runner/ledger.json'), '{ "version": 1, "runnerId":');
      writeFileSync(at('token'), 'another');
      await atelier().ok('daemon', 'start');
      expect(readdirSync(at('runner'))).toContain('ledger.json.unreadable-1');
      expect(readFileSync(at('daemon.log'), 'utf8')).toMatch(
        /The ledger cannot be used: it is not whole JSON\. It is kept as .*ledger\.json\.unreadable-1/,
      );
      expect(await atelier().inside('spoilt', 'cat a.txt')).toMatch(/^a/);
      expect((await atelier().status('spoilt')).status?.detail?.boot).toBe(status?.detail?.boot);
    });

    it('the runner’s identity is torn: the daemon does not start before it is put back', async () => {
      const identity = readFileSync(at('runner/identity.json'));
      await atelier().ok('daemon', 'stop');
      writeFileSync(at('runner/identity.json'), '{');
      const ended = await atelier().run('daemon', 'start');
      expect(words(ended)).toBe(
        "atelier: The runner's identity <folder>/home/runner/identity.json cannot be used. Put it back from a copy; without its key, secrets that were sealed to it are lost.",
      );
      expect(ended.code).toBe(13);
      writeFileSync(at('runner/identity.json'), identity);
      expect(await atelier().names()).toContain('spoilt');
    });

    it('and a daemon whose record is damaged can be stopped', async () => {
      writeFileSync(at('daemon.json'), '');
      expect(words(await atelier().run('daemon', 'stop'))).toBe(
        'the daemon (process <pid>) has stopped; environments run on',
      );
      await atelier().ok('daemon', 'start');
    });
  });
}

async function serveRepositories(folder: string, remote: RemoteHost): Promise<void> {
  const served = join(folder, 'served');
  const work = makeRepository(join(folder, 'work'), { 'tool.txt': 'tool\n' });
  git(folder, 'clone', '--quiet', '--bare', work, join(served, 'tool.git'));
  git(join(served, 'tool.git'), 'update-server-info');
  await remote.serveHttp(served);
}
