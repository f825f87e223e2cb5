/** The simulated supervisor: SupervisorService with the behaviour that the machine was configured with. */
import { agreedVersion, softwareVersion, supervisorProtocolVersion } from '@atelier/api';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import {
  AutomationsFileStatusSchema,
  LifecycleStatusSchema,
  SupervisorService,
  SupervisorSpecSchema,
  SupervisorStatusSchema,
  WatchLogsResponseSchema,
  WatchStatusResponseSchema,
  type LifecycleStatus,
  type SupervisorSpec,
  type SupervisorStatus,
  type WatchLogsRequest,
  type WatchLogsResponse,
  type WatchStatusResponse,
} from '@atelier/api/atelier/supervisor';
import { AutomationsFileSchema } from '@atelier/api/gitpod/environment_automation';
import { clone, create, equals, fromJsonString } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { InstanceStart } from '@atelier/driver';
import type { ConnectRouter } from '@connectrpc/connect';
import { SimulatedAutomations } from './automations.ts';
import { Changes } from './changes.ts';
import type { Surroundings } from './surroundings.ts';
import type { InstanceTimers } from './timers.ts';
import type { SimulatedRootLayer } from './workspace.ts';

const automationsPaths = ['.gitpod/automations.yaml', '.ona/automations.yaml'];
const encoder = new TextEncoder();

/** A supervisor of one run of PID 1. Its memory ends with the instance. */
export class SimulatedSupervisor {
  /** The spec that was applied last, undefined before the first. */
  spec: SupervisorSpec | undefined;
  /** Shutdown was asked for and has ended. */
  shutDown = false;
  readonly #machine: Surroundings;
  readonly #start: InstanceStart;
  readonly #timers: InstanceTimers;
  readonly #changes = new Changes();
  readonly #automations: SimulatedAutomations;
  readonly #logs = new Map<string, Uint8Array>();
  readonly #startedAtMs: number;
  #lifecycle: LifecycleStatus[] = [];
  #lifecycleRuns = false;
  /** Commands that this run of PID 1 has seen end, for instances without a root layer of their own. */
  readonly #ownLayer: SimulatedRootLayer = { imageDigest: '', lifecycle: new Map() };

  constructor(machine: Surroundings, start: InstanceStart, timers: InstanceTimers) {
    this.#machine = machine;
    this.#start = start;
    this.#timers = timers;
    this.#startedAtMs = machine.clock.nowMs();
    this.#automations = new SimulatedAutomations(machine, timers, (log, text) => {
      if (log !== undefined && text !== undefined) this.#write(log, text);
      this.#changes.notify();
    });
  }

  /** Serves the methods on a connection. */
  serve(router: ConnectRouter): void {
    router.service(SupervisorService, {
      hello: ({ protocolVersion }) => ({
        protocolVersion:
          agreedVersion(supervisorProtocolVersion, protocolVersion) ?? supervisorProtocolVersion,
        softwareVersion,
        boot: this.#start.environment['ATELIER_BOOT'] ?? '',
        startedAt: timestampFromMs(this.#startedAtMs),
      }),
      apply: ({ spec }) => {
        if (spec !== undefined) this.#apply(spec);
        return {};
      },
      watchStatus: (_, { signal }) => this.#watchStatus(signal),
      watchLogs: (request, { signal }) => this.#watchLogs(request, signal),
      shutdown: async () => {
        await this.#shutdown();
        return {};
      },
    });
  }

  /** What the supervisor observes now. */
  status(): SupervisorStatus {
    return create(SupervisorStatusSchema, {
      revision: this.spec?.revision ?? 0n,
      ownershipSession: this.spec?.ownershipSession ?? '',
      lifecycle: this.#lifecycle.map((each) => clone(LifecycleStatusSchema, each)),
      automationsFile: this.#automationsFile(),
      services: this.#automations.services(),
      executions: this.#automations.executions(),
      activity: { entries: this.#automations.work() },
    });
  }

  #apply(spec: SupervisorSpec): void {
    if (this.spec !== undefined && spec.revision < this.spec.revision) return;
    if (this.spec !== undefined && equals(SupervisorSpecSchema, spec, this.spec)) return;
    this.spec = spec;
    this.#lifecycle = spec.lifecycle.map(({ name, session }) => this.#remembered(name, session));
    this.#automations.apply(spec.services, spec.executions);
    this.#changes.notify();
    if (!this.#lifecycleRuns) this.#nextCommand();
  }

  #layer(): SimulatedRootLayer {
    const { environmentId, root } = this.#start;
    const disk = this.#machine.disks.get(environmentId);
    return (root.kind === 'disk' ? disk?.generations.get(root.generation) : undefined) ?? this.#ownLayer;
  }

  #remembered(name: string, session: string): LifecycleStatus {
    const running = this.#lifecycle.find((each) => each.name === name && each.session === session);
    if (running?.phase === StepPhase.RUNNING) return running;
    const exitCode = this.#layer().lifecycle.get(`${name} ${session}`);
    return create(LifecycleStatusSchema, { name, session, ...ended(exitCode) });
  }

  /** Runs the first command that has not ended, then the next; a failed one ends the row. */
  #nextCommand(): void {
    const next = this.#lifecycle.find(({ phase }) => phase !== StepPhase.SUCCEEDED);
    if (next === undefined || next.phase !== StepPhase.PENDING || this.shutDown) return;
    this.#lifecycleRuns = true;
    next.phase = StepPhase.RUNNING;
    next.startedAt = timestampFromMs(this.#machine.clock.nowMs());
    this.#changes.notify();
    this.#timers.after(this.#machine.behaviour.lifecycleMs, () => {
      const exitCode = this.#machine.behaviour.lifecycleExitCode(next.name, this.#machine.random);
      this.#layer().lifecycle.set(`${next.name} ${next.session}`, exitCode);
      Object.assign(next, ended(exitCode));
      this.#write(
        `lifecycle/${next.name}`,
        `${next.name} of session ${next.session} ended with ${exitCode}\n`,
      );
      this.#lifecycleRuns = false;
      this.#changes.notify();
      this.#nextCommand();
    });
  }

  #automationsFile(): SupervisorStatus['automationsFile'] {
    const spec = this.spec;
    if (spec === undefined || spec.automationsSession === '') return undefined;
    const workspace = this.#machine.disks.get(this.#start.environmentId)?.workspace;
    const paths = spec.automationsFilePath === '' ? automationsPaths : [spec.automationsFilePath];
    const path = paths.find((each) => workspace?.has(each)) ?? '';
    const status = create(AutomationsFileStatusSchema, { session: spec.automationsSession, path });
    if (path === '') return status;
    try {
      status.file = fromJsonString(AutomationsFileSchema, workspace?.get(path) ?? '');
    } catch {
      status.failureMessage = `${path}: the simulated supervisor reads automations in their JSON form only.`;
    }
    return status;
  }

  async *#watchStatus(signal: AbortSignal): AsyncIterable<WatchStatusResponse> {
    let last: SupervisorStatus | undefined;
    for await (const _ of this.#changes.watch(signal)) {
      const status = this.status();
      if (last !== undefined && equals(SupervisorStatusSchema, status, last)) continue;
      last = status;
      yield create(WatchStatusResponseSchema, { status });
    }
  }

  async *#watchLogs(request: WatchLogsRequest, signal: AbortSignal): AsyncIterable<WatchLogsResponse> {
    const offsets = new Map(Object.entries(request.offsets).map(([log, offset]) => [log, Number(offset)]));
    for await (const _ of this.#changes.watch(signal)) {
      for (const [log, bytes] of this.#logs) {
        const offset = offsets.get(log) ?? 0;
        if (offset >= bytes.length) continue;
        offsets.set(log, bytes.length);
        yield create(WatchLogsResponseSchema, { log, offset: BigInt(offset), data: bytes.slice(offset) });
      }
    }
  }

  #write(log: string, text: string): void {
    const before = this.#logs.get(log) ?? new Uint8Array();
    this.#logs.set(log, Buffer.concat([before, encoder.encode(text)]));
  }

  #shutdown(): Promise<void> {
    this.#automations.stopAll();
    return new Promise((resolve) => {
      this.#timers.after(this.#machine.behaviour.shutdownMs, () => {
        this.shutDown = true;
        this.#changes.notify();
        resolve();
      });
    });
  }
}

function ended(exitCode: number | undefined): Pick<LifecycleStatus, 'phase' | 'exitCode' | 'message'> {
  if (exitCode === undefined) return { phase: StepPhase.PENDING, exitCode: 0, message: '' };
  if (exitCode === 0) return { phase: StepPhase.SUCCEEDED, exitCode, message: '' };
  return { phase: StepPhase.FAILED, exitCode, message: `The command ended with exit code ${exitCode}.` };
}
