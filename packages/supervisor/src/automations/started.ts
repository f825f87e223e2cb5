/** A command of a task or service, with the facts about it that the rules ask for. */
import type { EnvironmentVariableItem } from '@atelier/api/gitpod/environment_automation';
import type { ProcessFacts, Signal } from '@atelier/automations';
import type { CommandSurroundings } from '../lifecycle.ts';
import type { Machine } from '../machine.ts';
import { runCommand, type Command } from '../processes/command.ts';

/** A command that was started, and how to signal it. */
export interface Started {
  readonly facts: ProcessFacts;
  readonly command: Command;
}

/**
 * Starts a text by `/bin/sh -c`: the shell that every image with a shell has, and what such files are written
 * for. `onEnd` is called when its facts have an exit.
 */
export function startCommand(
  machine: Machine,
  surroundings: CommandSurroundings,
  text: string,
  onOutput: (data: Buffer) => void,
  onEnd: () => void,
): Started {
  const facts: ProcessFacts = { startedAtMs: machine.clock.nowMs() };
  const command = runCommand(machine, { ...surroundings, arguments: ['/bin/sh', '-c', text] }, onOutput);
  void command.ended.then(({ exitCode, signal, failure }) => {
    if (failure !== '') onOutput(Buffer.from(`${failure}\n`));
    const atMs = machine.clock.nowMs();
    if (failure !== '') facts.exit = { atMs, error: failure };
    else if (signal !== '') facts.exit = { atMs, signal };
    else facts.exit = { atMs, code: exitCode };
    onEnd();
  });
  return { facts, command };
}

/** Signals a command and notes when. */
export function signalStarted(machine: Machine, started: Started, signal: Signal): void {
  started.command.signal(signal);
  const nowMs = machine.clock.nowMs();
  if (signal === 'SIGKILL') started.facts.killedAtMs = nowMs;
  else started.facts.terminatedAtMs = nowMs;
}

/** Whether a command was started and has not ended. */
export function isRunning(started: Started | undefined): boolean {
  return started !== undefined && started.facts.exit === undefined;
}

/** The surroundings with the variables of a task or service above them; references to secrets are not ours to resolve. */
export function withVariables(
  surroundings: CommandSurroundings,
  items: readonly EnvironmentVariableItem[],
): CommandSurroundings {
  const environment: Record<string, string> = { ...surroundings.environment };
  for (const { name, source } of items) if (source.case === 'value') environment[name] = source.value;
  return { ...surroundings, environment };
}
