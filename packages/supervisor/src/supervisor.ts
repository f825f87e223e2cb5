/** The supervisor: takes a spec, drives everything inside towards it, and says what it sees. */
import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { sleep, type Timer } from '@atelier/api';
import {
  ActivityKind,
  type ActivityEntry,
  type ListeningPort,
} from '@atelier/api/atelier/environment_detail';
import {
  SupervisorSpecSchema,
  SupervisorStatusSchema,
  type AutomationsFileStatus,
  type SupervisorSpec,
  type SupervisorStatus,
} from '@atelier/api/atelier/supervisor';
import type { EnvironmentGitStatus } from '@atelier/api/gitpod/git_status';
import { goingOn, happened, LastTime } from './activity.ts';
import { Automations } from './automations/automations.ts';
import { readAutomationsFile } from './automations/file.ts';
import type { KeptAlive } from './keep-alive.ts';
import { Lifecycle, type CommandSurroundings } from './lifecycle.ts';
import { Logs } from './logs.ts';
import type { Machine } from './machine.ts';
import { Observer } from './observer.ts';
import { giveOwnership } from './ownership.ts';
import { isFolder } from './processes/launch.ts';
import { ProcessTable } from './processes/table.ts';
import { StatusBoard } from './status.ts';
import { resolveUser } from './users.ts';

/** Between SIGTERM and SIGKILL of what is no service. */
const termGraceMs = 10_000;
/** How often the machine is asked whether the last processes have ended. */
const endPollMs = 20;

/** Everything that goes on inside one environment. It knows nothing of connections. */
export class Supervisor {
  readonly machine: Machine;
  readonly startedAtMs: number;
  readonly logs = new Logs();
  readonly board: StatusBoard<SupervisorStatus>;
  readonly processes: ProcessTable;
  /** When a client did something. */
  readonly acted: LastTime;
  /** Executions by EnvironmentOpsService.Exec that run now. */
  readonly executions = new Set<{ readonly command: string; readonly sinceMs: number }>();
  readonly #lifecycle: Lifecycle;
  readonly #automations: Automations;
  readonly #observer: Observer;
  #spec: SupervisorSpec = create(SupervisorSpecSchema, { workspaceFolder: '/' });
  #userFailure = '';
  #ownership: { readonly session: string; readonly failure: string } = { session: '', failure: '' };
  #ownershipUnderWay = '';
  #file: AutomationsFileStatus | undefined;
  #fileSession = '';
  #ports: readonly ListeningPort[] = [];
  #git: EnvironmentGitStatus | undefined;
  #kept: readonly KeptAlive[] = [];
  #ending: Promise<void> | undefined;
  /** Aborted when a shutdown's patience is at its end. */
  readonly #graceOver = new AbortController();
  #grace: { readonly untilMs: number; readonly timer: Timer } | undefined;

  constructor(machine: Machine) {
    this.machine = machine;
    this.startedAtMs = machine.clock.nowMs();
    const change = (): void => this.board.change();
    this.board = new StatusBoard(machine.clock, () => this.status());
    this.acted = new LastTime(machine.clock, change);
    this.processes = new ProcessTable(machine, this.acted, change);
    this.#lifecycle = new Lifecycle(machine, this.logs, change);
    this.#automations = new Automations(machine, this.logs, change);
    this.#observer = new Observer(machine, {
      isWanted: () => this.board.isWatched,
      git: () => (this.#spec.git && this.#userFailure === '' ? this.surroundings() : undefined),
      isBusy: () => this.#isBusy(),
      onPorts: (ports) => {
        this.#ports = ports;
        change();
      },
      onGit: (git) => {
        this.#git = git;
        change();
      },
      onKeepAlive: (kept) => {
        this.#kept = kept;
        change();
      },
    });
  }

  /**
   * The user, folder and variables of everything that names none. Where the user or the folder is not there,
   * root and `/` stand in, so that somebody can get in and mend it.
   */
  surroundings(): CommandSurroundings {
    const { user, workspaceFolder, environment } = this.#spec;
    if (this.#userFailure === '') return { user, workingDirectory: workspaceFolder || '/', environment };
    return {
      user: 'failure' in resolveUser(this.machine, user) ? 'root' : user,
      workingDirectory: isFolder(workspaceFolder) ? workspaceFolder : '/',
      environment,
    };
  }

  /** Takes a spec; an older revision than the present one is ignored. Returns at once. */
  apply(spec: SupervisorSpec): void {
    if (spec.revision < this.#spec.revision || this.#ending) return;
    this.#spec = spec;
    const user = resolveUser(this.machine, spec.user);
    const isOwned = spec.ownershipSession === '' || spec.ownershipSession === this.#ownership.session;
    // A folder that vanishes later is no reason to let go of what runs.
    this.#userFailure = whyNothingCanRun(user, isOwned ? '/' : spec.workspaceFolder);
    this.board.change();
    if ('failure' in user || this.#userFailure !== '') return;
    if (isOwned) return this.#proceed();
    if (this.#ownershipUnderWay !== '') return;
    const session = spec.ownershipSession;
    this.#ownershipUnderWay = session;
    void giveOwnership(spec.workspaceFolder, user).then((failure) => {
      this.#ownershipUnderWay = '';
      this.#ownership = { session, failure };
      this.board.change();
      this.apply(this.#spec);
    });
  }

  /** What is seen now. */
  status(): SupervisorStatus {
    return create(SupervisorStatusSchema, {
      revision: this.#spec.revision,
      ownershipSession: this.#ownership.session,
      lifecycle: this.#lifecycle.status(),
      ...(this.#file && { automationsFile: this.#file }),
      services: this.#automations.serviceReports(),
      executions: this.#automations.executionReports(),
      ports: [...this.#ports],
      ...(this.#git && { git: this.#git }),
      activity: { entries: this.#activity() },
      userFailure: this.#userFailure || this.#ownership.failure,
    });
  }

  /** The status now and after each change, until `signal` is aborted. */
  watchStatus(signal: AbortSignal): AsyncIterable<SupervisorStatus> {
    return this.board.watch(signal, () => this.#observer.wake());
  }

  /** Reads git status now, for a client that asks. */
  readGit(): Promise<EnvironmentGitStatus | undefined> {
    return this.#observer.readGit();
  }

  /**
   * Ends everything: services by their rules, then SIGTERM, and SIGKILL ten seconds later or at the deadline.
   * Returns when nothing but the supervisor is left; nothing can be started any more. A second call waits for the
   * same end, which its grace can bring nearer and not put off.
   */
  shutdown(graceMs: number): Promise<void> {
    this.#endWithin(graceMs);
    this.#ending ??= this.#end();
    return this.#ending;
  }

  /** Whether a shutdown has begun: nothing is started any more. */
  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  #endWithin(graceMs: number): void {
    const { clock } = this.machine;
    const untilMs = clock.nowMs() + graceMs;
    if (this.#grace !== undefined && this.#grace.untilMs <= untilMs) return;
    this.#grace?.timer.cancel();
    this.#grace = { untilMs, timer: clock.timer(graceMs, () => this.#graceOver.abort()) };
  }

  async #end(): Promise<void> {
    const { clock } = this.machine;
    const deadline = this.#graceOver;
    this.#observer.stop();
    this.processes.close();
    this.#lifecycle.stop('SIGTERM');
    await this.#automations.end(deadline.signal);
    this.#signalAll('SIGTERM');
    // The long grace is for services, which say how long they need; whatever else runs knows no more than a signal.
    const term = clock.timer(termGraceMs, () => deadline.abort());
    while (!deadline.signal.aborted && this.#isAnythingLeft()) await sleep(clock, endPollMs, deadline.signal);
    this.#grace?.timer.cancel();
    term.cancel();
    this.#lifecycle.stop('SIGKILL');
    // What cannot be killed (it hangs in the kernel) must not keep the answer back for ever.
    for (let tries = 0; tries < 100 && this.#isAnythingLeft(); tries += 1) {
      this.#signalAll('SIGKILL');
      await sleep(clock, endPollMs);
    }
  }

  #isAnythingLeft(): boolean {
    return this.processes.running().length > 0 || (this.machine.strangers() ?? []).length > 0;
  }

  #signalAll(signal: NodeJS.Signals): void {
    for (const process of this.processes.running()) {
      // An interactive shell ignores SIGTERM; the end of its terminal is what it understands.
      if (process.size && signal === 'SIGTERM') process.signal('SIGHUP');
      process.signal(signal);
    }
    for (const pid of this.machine.strangers() ?? []) {
      try {
        process.kill(pid, signal);
      } catch {
        // It ended in between.
      }
    }
  }

  /** Goes on once the workspace belongs to its user. */
  #proceed(): void {
    const { lifecycle, services, executions, automationsSession, automationsFilePath, workspaceFolder } =
      this.#spec;
    const surroundings = this.surroundings();
    this.#lifecycle.apply(lifecycle, surroundings);
    this.#automations.apply(services, executions, surroundings);
    this.#observer.wake();
    if (automationsSession === '' || automationsSession === this.#fileSession) return;
    this.#fileSession = automationsSession;
    void readAutomationsFile(workspaceFolder, automationsFilePath, automationsSession).then((status) => {
      if (status.session !== this.#fileSession) return;
      this.#file = status;
      this.board.change();
    });
  }

  #activity(): ActivityEntry[] {
    const { CLIENT, EXECUTION, TERMINAL_INPUT, TERMINAL_OUTPUT } = ActivityKind;
    return [
      ...this.#automations.work(),
      ...this.#kept.map(({ reason, sinceMs }) => goingOn(ActivityKind.KEEP_ALIVE, reason, sinceMs)),
      ...[...this.executions].map(({ command, sinceMs }) => goingOn(EXECUTION, command, sinceMs)),
      ...this.processes.running().flatMap((process) => {
        const { shown, pid, startedAtMs, size, typed, printed } = process;
        if (!size) return [goingOn(EXECUTION, shown.join(' '), startedAtMs)];
        const name = `${shown[0] ?? ''} (pid ${pid})`;
        return [...happened(TERMINAL_INPUT, name, typed), ...happened(TERMINAL_OUTPUT, name, printed)];
      }),
      ...happened(CLIENT, '', this.acted),
    ];
  }

  #isBusy(): boolean {
    const recentMs = this.machine.clock.nowMs() - 60_000;
    return this.#activity().some(({ lastAt }) => !lastAt || timestampMs(lastAt) > recentMs);
  }
}

function whyNothingCanRun(user: ReturnType<typeof resolveUser>, workspaceFolder: string): string {
  if ('failure' in user) {
    return `${user.failure} Correct remoteUser or containerUser of the configuration, or add the user to the image; until then commands run as root.`;
  }
  if (isFolder(workspaceFolder)) return '';
  return `The workspace folder ${workspaceFolder} is not there. Correct workspaceFolder of the configuration; until then commands run in /.`;
}
