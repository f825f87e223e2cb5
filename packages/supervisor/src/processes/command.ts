/** Commands that the supervisor runs by itself: life-cycle, automations, git. No input; what they say goes to a sink. */
import type { Machine } from '../machine.ts';
import { signalGroup, startChild } from './child.ts';
import { prepareLaunch, type Launch } from './launch.ts';
import type { ProcessEnd } from './process.ts';

/** A command that was started. */
export interface Command {
  /** Resolves when it is over, also when it could not start. Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** Signals its whole process group; nothing happens when it is over. */
  signal(name: string): void;
}

/** Starts a command; its output, both streams in the order they came, goes to `onOutput`. */
export function runCommand(
  machine: Machine,
  launch: Launch,
  onOutput: (data: Buffer, name: 'stdout' | 'stderr') => void,
): Command {
  const prepared = prepareLaunch(machine, launch);
  let over = false;
  let settle: (end: ProcessEnd) => void = () => {};
  const ended = new Promise<ProcessEnd>((resolve) => {
    settle = (end) => {
      over = true;
      resolve(end);
    };
  });
  const child =
    'failure' in prepared
      ? prepared
      : startChild(machine, prepared, undefined, {
          onOutput: (name, data) => onOutput(data, name),
          onExit: (exit) => settle({ ...exit, failure: '' }),
        });
  if ('failure' in child) settle({ exitCode: child.exitCode, signal: '', failure: child.failure });
  else child.end();
  return {
    ended,
    signal(name) {
      if (!over && !('failure' in child)) signalGroup(child.pid, name);
    },
  };
}

/** Runs a command to its end and gives what it said, up to `bytesMax` of each stream; it is killed at `timeoutMs`. */
export async function collectCommand(
  machine: Machine,
  launch: Launch,
  limits: {
    readonly bytesMax: number;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<ProcessEnd & { readonly stdout: Buffer; readonly stderr: Buffer }> {
  const parts: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  const sizes = { stdout: 0, stderr: 0 };
  const command = runCommand(machine, launch, (data, name) => {
    const part = data.subarray(0, limits.bytesMax - sizes[name]);
    sizes[name] += part.length;
    if (part.length > 0) parts[name].push(part);
  });
  const kill = (): void => command.signal('SIGKILL');
  const timer = machine.clock.timer(limits.timeoutMs, kill);
  limits.signal?.addEventListener('abort', kill, { once: true });
  if (limits.signal?.aborted) kill();
  const end = await command.ended;
  timer.cancel();
  limits.signal?.removeEventListener('abort', kill);
  return { ...end, stdout: Buffer.concat(parts.stdout), stderr: Buffer.concat(parts.stderr) };
}
