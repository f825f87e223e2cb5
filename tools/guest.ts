import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import type { TestTotals } from './check-reporter.ts';
import { initramfs } from './guest/initramfs.ts';
import { guestKernel, modulesInOrder, type GuestKernel } from './guest/kernel.ts';

/*
 * node tools/guest.ts [test file...]: runs container tests (those of the cgroups by default) in a virtual machine whose
 * kernel has cgroups of version 2 and no others. The machine is emulated, so no accelerator is needed, and what computes
 * takes some twenty times as long. Its root is this machine's, read-only, below a writable layer that goes with it.
 * Where it cannot be run it says why and what to install, and ends with 0.
 */
const checkout = resolve(import.meta.dirname, '..');
const defaultTests = ['packages/driver-oci/src/instances/cgroup.container.test.ts'];
const endMark = 'atelier-guest-ended-with';
const totalsMark = 'atelier-guest-totals';
const deadlineMs = 20 * 60_000;
const memoryMegabytes = 2048;
const diskBytes = 8 * 1024 ** 3;

const emulator = '/usr/bin/qemu-system-x86_64';
const shareDaemons = ['/usr/lib/qemu/virtiofsd', '/usr/libexec/virtiofsd'];
/** What is between the kernel and its root; it loads others by itself. */
const modules = ['virtio_pci', 'virtio_blk', 'virtiofs', 'overlay'];

function whyNot(): string | undefined {
  if (process.arch !== 'x64') return 'the guest is an x86_64 machine';
  if (process.getuid?.() !== 0) return 'only root can share the root of this machine with a guest';
  if (!existsSync(emulator))
    return 'QEMU is missing: apt-get install --no-install-recommends qemu-system-x86';
  if (!shareDaemons.some((path) => existsSync(path)))
    return 'virtiofsd is missing: apt-get install --no-install-recommends virtiofsd';
  if (!existsSync('/bin/busybox')) return 'busybox is missing: apt-get install busybox-static';
  return undefined;
}

/** What the guest runs. */
function script(tests: readonly string[]): string {
  const path = [checkout, join(checkout, '.toolchain')]
    .map((folder) => `${folder}/node_modules/.bin`)
    .join(':');
  const reporters = '--reporter=verbose --reporter=./tools/check-reporter.ts';
  return `export PATH=${path}:$PATH HOME=/root NO_COLOR=1 CI=1 ATELIER_CHECK_TOTALS=/run/totals
cd ${checkout} || exit
vitest run --project container ${reporters} ${tests.join(' ')} </dev/null
code=$?
echo "${totalsMark} $(cat /run/totals)"
exit $code
`;
}

/** Shares this machine's root, read-only whatever the guest does, from a mount namespace that ends with the process. */
function share(folder: string, socket: string): ChildProcess {
  const isApart = statSync('/').dev !== statSync(checkout).dev;
  const shown = ['/', ...(isApart ? [checkout] : [])].map((path) => ({ path, at: join(folder, path) }));
  const daemon = shareDaemons.find((path) => existsSync(path)) ?? '';
  const steps = [
    ...shown.map(({ path, at }) => `mount --bind ${path} ${at}`),
    ...shown.toReversed().map(({ at }) => `mount -o remount,bind,ro ${at}`),
    `exec ${daemon} --socket-path=${socket} -o source=${folder} -o cache=always -o sandbox=chroot`,
  ];
  const unshare = ['--mount', '--propagation=private', 'sh', '-ec', steps.join('\n')];
  return spawn('unshare', unshare, { stdio: ['ignore', 'ignore', 'pipe'] });
}

async function listens(sharing: ChildProcess, socket: string): Promise<void> {
  let complaint = '';
  sharing.stderr?.on('data', (data: Buffer) => (complaint += data.toString()));
  while (!existsSync(socket)) {
    if (sharing.exitCode !== null) throw new Error(`virtiofsd ended at once: ${complaint}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Two processors and 2 GiB of this machine at most, behind everything else that runs on it. */
function boot(kernel: GuestKernel, scratch: string): ChildProcess {
  const memory = `memory-backend-memfd,id=memory,size=${memoryMegabytes}M,share=on`;
  const words = [
    ['-nodefaults', '-no-user-config', '-nographic', '-no-reboot', '-serial', 'stdio'],
    ['-M', 'q35,accel=tcg,memory-backend=memory', '-object', memory],
    ['-cpu', 'max', '-smp', '2', '-m', `${memoryMegabytes}`],
    ['-kernel', kernel.image, '-initrd', join(scratch, 'initramfs')],
    // An emulated timer on a busy machine fails the kernel's check of it.
    ['-append', 'console=ttyS0 loglevel=1 panic=-1 no_timer_check edd=off cgroup_no_v1=all'],
    ['-chardev', `socket,id=shared,path=${join(scratch, 'shared.sock')}`],
    ['-device', 'vhost-user-fs-pci,chardev=shared,tag=shared'],
    ['-drive', `file=${join(scratch, 'disk')},format=raw,if=none,id=disk,cache=unsafe`],
    ['-device', 'virtio-blk-pci,drive=disk'],
  ];
  const options = ['-n', '10', emulator, ...words.flat()];
  return spawn('nice', options, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Shows what the guest prints; gives the exit code that it names, and passes its totals on to the check. */
function watch(guest: ChildProcess): Promise<number> {
  return new Promise((done) => {
    let said = '';
    const late = setTimeout(() => {
      console.log(`guest: not over after ${deadlineMs / 60_000} minutes`);
      guest.kill('SIGKILL');
    }, deadlineMs);
    guest.stdout?.setEncoding('utf8').on('data', (text: string) => {
      process.stdout.write(text);
      said += text;
    });
    guest.on('close', () => {
      clearTimeout(late);
      const [, totals] = new RegExp(`${totalsMark} (\\{.*\\})`).exec(said) ?? [];
      const [, code] = new RegExp(`${endMark} (\\d+)`).exec(said) ?? [];
      if (totals !== undefined) passOn(totals);
      if (code === undefined) console.log('guest: it ended without a result');
      done(Number(code ?? 1));
    });
  });
}

function passOn(totals: string): void {
  const path = process.env['ATELIER_CHECK_TOTALS'];
  if (path !== undefined) appendFileSync(path, `${totals}\n`);
}

async function main(tests: readonly string[]): Promise<number> {
  const reason = whyNot();
  if (reason !== undefined) {
    console.log(`guest: not run: ${reason}`);
    passOn(
      JSON.stringify({ passed: 0, failed: 0, skipped: [{ name: 'guest', reason }] } satisfies TestTotals),
    );
    return 0;
  }
  const kernel = guestKernel(join(checkout, '.toolchain/guest'));
  const scratch = mkdtempSync(join(tmpdir(), 'atelier-guest-'));
  const root = join(scratch, 'root');
  const disk = join(scratch, 'disk');
  const socket = join(scratch, 'shared.sock');
  const children: ChildProcess[] = [];
  process.on('exit', () => {
    for (const child of children) child.kill('SIGKILL');
    // Fails while something is mounted there, and then nothing below may be removed.
    rmdirSync(root);
    rmSync(scratch, { recursive: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));
  mkdirSync(root);
  const startup = {
    moduleFiles: modulesInOrder(kernel, modules),
    modulesFolder: kernel.modules,
    release: basename(kernel.modules),
    script: script(tests),
    endMark,
  };
  writeFileSync(join(scratch, 'initramfs'), initramfs(startup));
  writeFileSync(disk, '');
  truncateSync(disk, diskBytes);
  execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', 'lazy_itable_init=1,lazy_journal_init=1', disk]);
  const sharing = share(root, socket);
  children.push(sharing);
  await listens(sharing, socket);
  const guest = boot(kernel, scratch);
  children.push(guest);
  return watch(guest);
}

const startedMs = performance.now();
const asked = process.argv.slice(2);
const code = await main(asked.length > 0 ? asked : defaultTests);
console.log(`guest: ended with ${code} after ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
process.exit(code);
