/** The one place that touches the real machine: variables, clock, and where the parts of the bundle are. */
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { systemClock } from '@atelier/api/system';
import { makeStarter, type Koffi, type Starter } from '@atelier/posix';
import type { Machine, TerminalAddon } from './machine.ts';

/** Where those who want to be kept alive put their files; `bundle/atelier-keep-alive.sh` does. */
const keepAliveFolder = '/run/atelier-keep-alive';

/** Where the supervisor dials unless ATELIER_SOCKET says otherwise. */
const socketPathDefault = '/run/atelier-link/supervisor.sock';

/** The machine that this process runs on. `scriptPath` is the program's own file, beside which a bundle has its parts. */
export function systemMachine(scriptPath: string): Machine {
  const folder = dirname(scriptPath);
  const require = createRequire(scriptPath);
  const isBundle = existsSync(join(folder, 'pty.node'));
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) variables[name] = value;
  return {
    clock: systemClock,
    boot: variables['ATELIER_BOOT'] ?? '',
    variables,
    startProcess: lazyStarter(() => require(isBundle ? join(folder, 'koffi.node') : 'koffi') as Koffi),
    terminalAddon: () => loadTerminalAddon(isBundle ? join(folder, 'pty.node') : undefined, scriptPath),
    switchUser: isBundle ? switchUserOf(folder) : ['/usr/sbin/chroot'],
    processFolder: '/proc',
    passwdPath: '/etc/passwd',
    groupPath: '/etc/group',
    keepAliveFolder,
    strangers: () => (isBundle && isOwnNamespace() ? otherProcesses() : undefined),
  };
}

/** The socket on which the runner listens, for the supervisor to dial. */
export function systemSocketPath(): string {
  return process.env['ATELIER_SOCKET'] || socketPathDefault;
}

function lazyStarter(load: () => Koffi): Starter {
  let starter: Starter | undefined;
  return (start) => (starter ??= makeStarter(load()))(start);
}

function switchUserOf(folder: string): string[] {
  const libraries = join(folder, 'lib');
  const loader = readdirSync(libraries).find((name) => name.startsWith('ld-linux'));
  return [join(libraries, loader ?? 'ld-linux'), '--library-path', libraries, join(folder, 'bin/chroot')];
}

function loadTerminalAddon(bundledPath: string | undefined, scriptPath: string): TerminalAddon {
  const require = createRequire(scriptPath);
  if (bundledPath !== undefined) return require(bundledPath) as TerminalAddon;
  const platform = `@lydell/node-pty-${process.platform}-${process.arch}/pty.node`;
  return createRequire(require.resolve('@lydell/node-pty'))(platform) as TerminalAddon;
}

// Ending every process that can be seen is right inside an environment and a disaster anywhere else.
function isOwnNamespace(): boolean {
  try {
    return process.ppid === 1 && basename(readlinkSync('/proc/1/exe')).startsWith('catatonit');
  } catch {
    return false;
  }
}

function otherProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== 1 && pid !== process.pid);
}
