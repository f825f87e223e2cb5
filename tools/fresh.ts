import { spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
import { hierarchies, makeCgroups } from './fresh/cgroup.ts';
import { makeNetwork } from './fresh/network.ts';
import { checkoutInside, environmentInside, makeRoot, missingForRoot } from './fresh/root.ts';
import { run, undoAll, type Undo } from './fresh/run.ts';

/*
 * pnpm fresh [command...]: runs a command (./check --quick by default) in a clone of HEAD on a Debian that has git, npm
 * and nothing else, in mount, pid, network, cgroup and host-name namespaces of its own. A machine that has seen the
 * project proves nothing about a machine that has not. Everything made here is removed at the end, also on Ctrl-C.
 */
const checkout = resolve(import.meta.dirname, '..');
const undos: Undo[] = [];
let child: ChildProcess | undefined;
let interrupted = false;

// With a handler, Ctrl-C during the preparation ends the program that runs just then, and the clean-up follows.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupted = true;
    child?.kill('SIGKILL');
  });
}

function start(root: string, network: string | undefined, command: string[]): ChildProcess {
  const cgroups = makeCgroups(`atelier-fresh-${process.pid}`, undos);
  const mounts = hierarchies().map(({ mount, type, options }) => `${mount} ${type} ${options}`);
  const unshare = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--cgroup', '--uts', '--ipc'];
  const enter = ['sh', resolve(import.meta.dirname, 'fresh/enter.sh'), root, checkoutInside, ...command];
  const inNetwork = network === undefined ? [] : ['nsenter', `--net=/run/netns/${network}`];
  // The shell enters the cgroups first: the namespace that unshare makes begins where the process is.
  const join = 'for file in $1; do echo $$ >"$file"; done; shift; exec "$@"';
  return spawn('sh', ['-c', join, 'sh', cgroups.join(' '), ...inNetwork, ...unshare, ...enter], {
    stdio: 'inherit',
    env: { ...environmentInside(), FRESH_CGROUPS: mounts.join('\n') },
  });
}

async function main(command: string[]): Promise<number> {
  const missing = missingForRoot();
  if (missing !== undefined) {
    console.error(`fresh: cannot make a fresh root: ${missing}`);
    return 2;
  }
  if (run('git', '-C', checkout, 'status', '--porcelain') !== '') {
    console.error('fresh: the working tree has changes that are not committed: they are not part of the try');
  }
  const root = makeRoot(checkout, undos);
  const networkUndos: Undo[] = [];
  undos.push(() => undoAll(networkUndos));
  const network = makeNetwork(networkUndos);
  if (network === undefined) {
    undoAll(networkUndos);
    console.error(
      "fresh: a network namespace reaches no package from here, so this run shares this machine's network",
    );
  }
  const startedMs = performance.now();
  console.error(`fresh: ${command.join(' ')}`);
  const running = start(root, network, command);
  child = running;
  const code = await new Promise<number>((done) => running.on('exit', (exitCode) => done(exitCode ?? 130)));
  if (interrupted) console.error('fresh: interrupted');
  console.error(`fresh: exit code ${code} after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  return code;
}

const given = process.argv.slice(2);
try {
  process.exitCode = await main(given.length > 0 ? given : ['./check', '--quick']);
} finally {
  undoAll(undos);
}
