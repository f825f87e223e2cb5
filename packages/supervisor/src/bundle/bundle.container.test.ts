import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { supervisorProtocolVersion } from '@atelier/api';
import type { ProcessExited } from '@atelier/api/atelier/process';
import { clientsOf, specOf, transportOver, type TrialClients } from '../trial.ts';
import { buildSupervisorBundle, keepBundles, type SupervisorBundle } from './index.ts';

const needed = ['/usr/bin/unshare', '/usr/bin/catatonit', '/bin/busybox', '/lib/ld-musl-x86_64.so.1'];
const missing = process.getuid?.() === 0 ? needed.filter((path) => !existsSync(path)) : ['root'];
if (missing.length > 0) console.log(`Skipped: the bundle is tried as root, with ${missing.join(', ')}.`);

/** Root folders as images have them, from nothing but a few files of this machine. */
const images: Record<string, (root: string) => void> = {
  'without any C library'(root) {
    busybox(root);
  },
  'with musl'(root) {
    busybox(root);
    mkdirSync(join(root, 'lib'));
    copyFileSync('/lib/ld-musl-x86_64.so.1', join(root, 'lib/ld-musl-x86_64.so.1'));
  },
  'with glibc'(root) {
    for (const program of [
      '/bin/sh',
      '/usr/bin/id',
      '/usr/bin/stty',
      '/usr/bin/env',
      '/usr/bin/sleep',
      '/usr/bin/cat',
    ])
      copyProgram(root, program);
    // A name service that only this image has must never be asked by our own C library.
    writeFileSync(join(root, 'etc/nsswitch.conf'), 'passwd: planted\ngroup: planted\n');
  },
};

function busybox(root: string): void {
  mkdirSync(join(root, 'bin'), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  for (const name of ['sh', 'id', 'stty', 'env', 'sleep', 'cat'])
    symlinkSync('busybox', join(root, 'bin', name));
}

function copyProgram(root: string, program: string): void {
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+(?= \(0x)/g) ?? [];
  for (const path of [program, ...libraries]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(path, join(root, path));
  }
}

interface Inside {
  readonly clients: TrialClients;
  readonly root: string;
  readonly init: ChildProcess;
  close(): Promise<void>;
}

let folder: string;
let bundle: SupervisorBundle;
const opened: Inside[] = [];

async function enter(build: (root: string) => void): Promise<Inside> {
  const base = await mkdtemp(join(folder, 'image-'));
  const root = join(base, 'root');
  for (const name of ['proc', 'dev/pts', 'opt/atelier', 'run/atelier-link', 'etc', 'tmp', 'workspace'])
    mkdirSync(join(root, name), { recursive: true });
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nmaker:x:1234:1235::/workspace:/bin/sh\n',
  );
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nmaker:x:1235:\nextra:x:77:maker\n');
  build(root);
  const sockets = join(base, 'sockets');
  mkdirSync(sockets);
  const server: Server = createServer().listen(join(sockets, 'supervisor.sock'));
  await once(server, 'listening');
  const script = [
    'set -e',
    'mount --make-rprivate /',
    `mount --bind ${bundle.folder} ${root}/opt/atelier`,
    `mount -o remount,bind,ro ${root}/opt/atelier`,
    `mount --bind ${sockets} ${root}/run/atelier-link`,
    `mount -o remount,bind,ro ${root}/run/atelier-link`,
    `mount -t proc proc ${root}/proc`,
    `mount -t devpts -o newinstance,ptmxmode=0666 devpts ${root}/dev/pts`,
    `ln -s pts/ptmx ${root}/dev/ptmx`,
    `touch ${root}/dev/null`,
    `mount --bind /dev/null ${root}/dev/null`,
    `exec env -i ATELIER_BOOT=boot-1 LD_PLANTED=x /usr/sbin/chroot ${root} ${bundle.arguments.join(' ')}`,
  ].join('\n');
  const options = ['--pid', '--mount', '--net', '--fork', '--kill-child', 'sh', '-c', script];
  const init = spawn('unshare', options, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = once(init, 'exit');
  const [socket] = (await Promise.race([
    once(server, 'connection'),
    ended.then(([code]) => Promise.reject(new Error(`PID 1 ended with ${code} before it dialled`))),
  ])) as [Socket];
  socket.on('error', () => {});
  const inside: Inside = {
    clients: clientsOf(transportOver(socket)),
    root,
    init,
    async close() {
      init.kill('SIGKILL');
      await ended;
      server.close();
      rmSync(base, { recursive: true, force: true });
    },
  };
  opened.push(inside);
  return inside;
}

async function run(
  { processes }: TrialClients,
  start: { arguments: string[]; user?: string; terminal?: { columns: number; rows: number } },
): Promise<{ text: string; exited: ProcessExited | undefined }> {
  const processId = `run-${Math.random().toString(36).slice(2)}`;
  let text = '';
  let exited: ProcessExited | undefined;
  const requests = (async function* () {
    yield { message: { case: 'start' as const, value: { processId, ...start } } };
  })();
  for await (const { message } of processes.run(requests)) {
    if (message.case === 'output') text += Buffer.from(message.value.data).toString();
    if (message.case === 'exited') exited = message.value;
  }
  return { text, exited };
}

describe.skipIf(missing.length > 0)('the bundle as PID 1', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atelier-bundle-'));
    bundle = await buildSupervisorBundle(join(folder, 'bundles'));
  });
  afterEach(async () => {
    for (const inside of opened.splice(0)) await inside.close();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('is built once for the same content', async () => {
    const before = await stat(bundle.folder);
    expect(await buildSupervisorBundle(join(folder, 'bundles'))).toEqual(bundle);
    rmSync(join(folder, 'bundles/inputs.json'));
    expect(await buildSupervisorBundle(join(folder, 'bundles'))).toEqual(bundle);
    // Of another checkout on this machine, whose files are as they were.
    const record = { folder: '0'.repeat(32), loader: 'lib/ld-linux.so', inputs: {} };
    mkdirSync(join(folder, 'bundles', record.folder));
    writeFileSync(join(folder, 'bundles/inputs.json'), JSON.stringify(record));
    expect(await buildSupervisorBundle(join(folder, 'bundles'))).toEqual(bundle);
    expect((await stat(bundle.folder)).mtimeMs).toBe(before.mtimeMs);
    expect(readdirSync(join(folder, 'bundles')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('stays while it is named, and goes when it is not', async () => {
    const parent = join(folder, 'kept');
    const { folder: made } = await buildSupervisorBundle(parent);
    for (const name of ['1'.repeat(32), '2'.repeat(32), `.going-${'3'.repeat(32)}`])
      mkdirSync(join(parent, name));
    await keepBundles(parent, [basename(made), '1'.repeat(32)]);
    expect(readdirSync(parent).sort()).toEqual([basename(made), '1'.repeat(32), 'inputs.json'].sort());
  });

  for (const [name, build] of Object.entries(images)) {
    it(`serves processes, terminals and files in an image ${name}`, async () => {
      const { clients } = await enter(build);
      expect(await clients.supervisor.hello({})).toMatchObject({
        boot: 'boot-1',
        protocolVersion: supervisorProtocolVersion,
      });
      await clients.supervisor.apply({
        spec: specOf('/workspace', { revision: 1n, user: 'maker', git: true }),
      });
      const plain = await run(clients, {
        arguments: ['sh', '-c', 'id -u; id -g; echo "$HOME $USER $SHELL"; env'],
      });
      expect(plain.text).toMatch(/^1234\n1235\n\/workspace maker \/bin\/sh\n/);
      expect(plain.text).not.toMatch(/LD_|ATELIER_/);
      const groups = await run(clients, {
        arguments: [
          'sh',
          '-c',
          'while read -r line; do case $line in Groups:*) echo $line;; esac; done < /proc/self/status',
        ],
      });
      expect(groups.text).toBe('Groups: 77\n');
      const root = await run(clients, { arguments: ['sh', '-c', 'id -u'], user: 'root' });
      expect(root.text).toBe('0\n');
      const terminal = await run(clients, {
        arguments: ['sh', '-c', 'stty size; id -u'],
        terminal: { columns: 91, rows: 17 },
      });
      expect(terminal.text).toBe('17 91\r\n1234\r\n');
      const passwd = await clients.operations.readFile({ path: '/etc/passwd' });
      expect(
        Buffer.from(passwd.result.case === 'content' ? passwd.result.value.data : []).toString(),
      ).toContain('maker');
      expect((await clients.operations.getGitStatus({})).status).toBeUndefined();
      const written = { path: 'note.txt', content: Buffer.from('x') };
      await clients.operations.writeFile(written);
      const owner = await run(clients, { arguments: ['sh', '-c', 'test -O note.txt && echo mine'] });
      expect(owner.text).toBe('mine\n');
    });
  }

  it('says that an image has no shell', async () => {
    const { clients } = await enter(() => {});
    const { exited } = await run(clients, { arguments: [] });
    expect(exited).toMatchObject({
      exitCode: 127,
      failureMessage: 'The image has no shell: name a program that it has.',
    });
  });

  it('ends what runs, first politely, and then itself', async () => {
    const { clients, root, init } = await enter(images['without any C library']!);
    const script = `(trap 'echo stopped > /tmp/polite; exit' TERM; while :; do sleep 0.05; done) & sleep 0.1; echo up`;
    expect((await run(clients, { arguments: ['sh', '-c', script] })).text).toBe('up\n');
    await run(clients, { arguments: ['sh', '-c', "(trap '' TERM; while :; do sleep 0.05; done) & echo up"] });
    await clients.supervisor.shutdown({ grace: { seconds: 0n, nanos: 400_000_000 } });
    expect(existsSync(join(root, 'tmp/polite'))).toBe(true);
    const left = await clients.operations.find({ path: '/proc', pattern: 'cmdline', maxDepth: 2 });
    const processes = left.files
      .map(({ path }) => path.split('/')[2])
      .filter((pid) => /^\d+$/.test(pid ?? ''));
    expect(processes.length).toBe(2);
    const ended = once(init, 'exit');
    const inner = readdirSync(`/proc/${init.pid}/task/${init.pid}`).includes('children')
      ? execFileSync('cat', [`/proc/${init.pid}/task/${init.pid}/children`], { encoding: 'utf8' }).trim()
      : '';
    process.kill(Number(inner), 'SIGTERM');
    expect((await ended)[0]).toBe(0);
  });
});
