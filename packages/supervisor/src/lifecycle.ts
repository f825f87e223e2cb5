/** Life-cycle commands: in their order, the entries of one in parallel, each once per session. */
import { create } from '@bufbuild/protobuf';
import {
  LifecycleStatusSchema,
  type LifecycleCommand,
  type LifecycleEntry,
  type LifecycleStatus,
} from '@atelier/api/atelier/supervisor';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import type { Logs } from './logs.ts';
import type { Machine } from './machine.ts';
import { runCommand, type Command } from './processes/command.ts';
import type { Launch } from './processes/launch.ts';
import type { ProcessEnd } from './processes/process.ts';
import { durationOf, timestampOf } from './wire.ts';

/** What the commands run in. */
export type CommandSurroundings = Pick<Launch, 'user' | 'workingDirectory' | 'environment'>;

/** Drives the life-cycle commands of the latest spec. */
export class Lifecycle {
  readonly #machine: Machine;
  readonly #logs: Logs;
  readonly #onChange: () => void;
  /** By name: of the latest session only, since a command's log and result are of its latest run. */
  readonly #results = new Map<string, LifecycleStatus>();
  readonly #running = new Set<Command>();
  #commands: readonly LifecycleCommand[] = [];
  #surroundings: CommandSurroundings | undefined;
  #busy = false;
  #stopped = false;

  /** `onChange` is called when `status` answers something else than before. */
  constructor(machine: Machine, logs: Logs, onChange: () => void) {
    this.#machine = machine;
    this.#logs = logs;
    this.#onChange = onChange;
  }

  /** Takes the commands that have to have run; starts the first that has not, unless one before it failed. */
  apply(commands: readonly LifecycleCommand[], surroundings: CommandSurroundings): void {
    this.#commands = commands;
    this.#surroundings = surroundings;
    void this.#advance();
  }

  /** How each command of the latest spec stands. */
  status(): LifecycleStatus[] {
    let failed = '';
    return this.#commands.map(({ name, session }) => {
      const result = this.#resultOf(name, session);
      if (result) {
        if (result.phase === StepPhase.FAILED) failed ||= name;
        return result;
      }
      const phase = failed === '' ? StepPhase.PENDING : StepPhase.SKIPPED;
      const message = failed === '' ? '' : `${failed} failed`;
      return create(LifecycleStatusSchema, { name, session, phase, message });
    });
  }

  /** Begins nothing more and signals what runs. */
  stop(signal: string): void {
    this.#stopped = true;
    for (const command of this.#running) command.signal(signal);
  }

  #resultOf(name: string, session: string): LifecycleStatus | undefined {
    const result = this.#results.get(name);
    return result?.session === session ? result : undefined;
  }

  async #advance(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (;;) {
        const next = this.#next();
        if (!next || !this.#surroundings || this.#stopped) return;
        await this.#run(next, this.#surroundings);
      }
    } finally {
      this.#busy = false;
    }
  }

  #next(): LifecycleCommand | undefined {
    for (const command of this.#commands) {
      const result = this.#resultOf(command.name, command.session);
      if (!result) return command;
      if (result.phase === StepPhase.FAILED) return undefined;
    }
    return undefined;
  }

  async #run({ name, session, entries }: LifecycleCommand, surroundings: CommandSurroundings): Promise<void> {
    const { clock } = this.#machine;
    const startedAtMs = clock.nowMs();
    const startedAt = timestampOf(startedAtMs);
    this.#results.set(
      name,
      create(LifecycleStatusSchema, { name, session, phase: StepPhase.RUNNING, startedAt }),
    );
    this.#onChange();
    const ends = await Promise.all(entries.map((entry) => this.#runEntry(name, entry, surroundings)));
    const failed = ends.findIndex((end) => end.exitCode !== 0);
    const end = ends[failed];
    const label = entries[failed]?.label;
    this.#results.set(
      name,
      create(LifecycleStatusSchema, {
        name,
        session,
        phase: end ? StepPhase.FAILED : StepPhase.SUCCEEDED,
        startedAt,
        took: durationOf(clock.nowMs() - startedAtMs),
        exitCode: end?.exitCode ?? 0,
        message: end ? `${label ? `${label}: ` : ''}${this.#reasonOf(name, end)}` : '',
      }),
    );
    this.#onChange();
  }

  async #runEntry(
    name: string,
    entry: LifecycleEntry,
    surroundings: CommandSurroundings,
  ): Promise<ProcessEnd> {
    const log = `lifecycle/${name}`;
    const command = runCommand(this.#machine, { ...surroundings, arguments: entry.arguments }, (data) =>
      this.#logs.append(log, data),
    );
    this.#running.add(command);
    const end = await command.ended;
    this.#running.delete(command);
    if (end.failure !== '') this.#logs.append(log, Buffer.from(`${end.failure}\n`));
    return end;
  }

  #reasonOf(name: string, end: ProcessEnd): string {
    if (end.failure !== '') return end.failure;
    const how = end.signal === '' ? `exited with code ${end.exitCode}` : `was ended by ${end.signal}`;
    const line = this.#logs.lastLine(`lifecycle/${name}`);
    return line === '' ? how : `${how}: ${line}`;
  }
}
