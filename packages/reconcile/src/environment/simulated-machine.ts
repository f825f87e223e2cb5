/**
 * A machine in memory for the tests of the plan: it has what a driver and a supervisor would show, does what
 * a planned step asks for, and breaks on demand. One environment, no time of its own.
 */
import { AtelierError } from '@atelier/api';
import type { EnvironmentObserved, EnvironmentRecord, PlannedStep, StepAttempt } from './model.ts';

type Main = NonNullable<EnvironmentObserved['main']>;
type Supervisor = NonNullable<EnvironmentObserved['supervisor']>;

/** What is on the machine. The tests change it freely: that is the world changing by itself. */
export class SimulatedMachine {
  disk: { generations: number[]; workspace: string | undefined; usedFor: string | undefined } | undefined;
  network = false;
  pinnedDigest: string | undefined;
  imagePresent = false;
  main: Main | undefined;
  throwaway: string[] = [];
  supervisor: Supervisor | undefined;
  /** What the life-cycle commands of the next boots come to. */
  lifecycle: 'none' | 'succeeded' | 'failed' = 'succeeded';
  /** What the reference of the image leads to: grows when somebody pushes another image. */
  imageRevision = 1;
  /** Whether content was ever cleared that a user had been working in. */
  lostWork = false;

  /** What the plan is shown. */
  observe(record: EnvironmentRecord, running: readonly StepAttempt[]): EnvironmentObserved {
    const { disk, network, pinnedDigest, imagePresent, main, supervisor } = this;
    const throwaway = [...this.throwaway];
    const generations = disk === undefined ? undefined : { generations: [...disk.generations] };
    return {
      record,
      running,
      network,
      imagePresent,
      throwaway,
      ...(generations && { disk: generations }),
      ...(pinnedDigest !== undefined && { pinnedDigest }),
      ...(main && { main: { ...main } }),
      ...(supervisor && { supervisor: { ...supervisor } }),
    };
  }

  /** Carries a step out. Throws `failed_precondition` for what a driver would refuse. */
  perform(planned: PlannedStep): void {
    switch (planned.step) {
      case 'disk':
        this.disk ??= { generations: [], workspace: undefined, usedFor: undefined };
        return;
      case 'content':
        return this.#makeContent(planned.session);
      case 'image':
        this.pinnedDigest = `sha256:${planned.session}-${this.imageRevision}`;
        this.imagePresent = true;
        return;
      case 'root':
        return this.#makeRoot(planned.generation ?? 0);
      case 'network':
        this.network = true;
        return;
      case 'instance':
        return this.#start(planned);
      case 'supervisor':
        return this.#link(planned.session);
      case 'lifecycle':
        return this.endLifecycle();
      case 'shutdown':
        if (this.supervisor) this.supervisor = { ...this.supervisor, shutDown: true };
        return;
      case 'stop':
        this.throwaway = [];
        return this.loseMain();
      case 'release':
        return this.#release(planned);
      default:
        return;
    }
  }

  /** The life-cycle commands come to their end. */
  endLifecycle(): void {
    if (this.supervisor) this.supervisor = { ...this.supervisor, lifecycle: this.lifecycle };
  }

  /** PID 1 ends by itself and stays to be seen. */
  endMain(end: string): void {
    if (this.main) this.main = { ...this.main, state: 'ended', end };
    this.supervisor = undefined;
  }

  /** The instance is gone, as after a reboot of the host. */
  loseMain(): void {
    this.main = undefined;
    this.supervisor = undefined;
  }

  #makeContent(session: string): void {
    const disk = this.#diskFor('content');
    if (this.main) throw new AtelierError('failed_precondition', 'An instance uses the workspace.');
    this.lostWork ||= disk.usedFor === session;
    disk.workspace = session;
    disk.usedFor = undefined;
  }

  #makeRoot(generation: number): void {
    const disk = this.#diskFor('root');
    if (!this.imagePresent) throw new AtelierError('not_found', 'The image is not here.');
    if (!disk.generations.includes(generation)) disk.generations.push(generation);
  }

  #start(planned: PlannedStep): void {
    const disk = this.#diskFor('instance');
    const generation = planned.generation ?? 0;
    if (this.main?.state === 'running') return;
    if (!disk.generations.includes(generation)) {
      throw new AtelierError('not_found', `There is no root layer ${generation}.`);
    }
    disk.usedFor = disk.workspace;
    this.main = { name: `main-${generation}`, generation, state: 'running' };
    this.supervisor = undefined;
  }

  #link(boot: string): void {
    if (this.main?.state !== 'running') throw new AtelierError('unavailable', 'No supervisor answers.');
    const lifecycle = this.lifecycle === 'none' ? 'none' : (this.supervisor?.lifecycle ?? 'running');
    this.supervisor = { boot, applied: true, lifecycle, shutDown: false };
  }

  #release(planned: PlannedStep): void {
    for (const target of planned.release) {
      if (target.kind === 'network') this.network = false;
      else if (target.kind === 'pin') this.pinnedDigest = undefined;
      else if (this.main?.state === 'running' && target.kind === 'disk') {
        throw new AtelierError('failed_precondition', 'An instance uses the disk.');
      } else if (target.kind === 'disk') this.disk = undefined;
      else this.#removeGeneration(target.generation);
    }
  }

  #removeGeneration(generation: number): void {
    const disk = this.#diskFor('release');
    disk.generations = disk.generations.filter((each) => each !== generation);
  }

  #diskFor(step: string): NonNullable<SimulatedMachine['disk']> {
    if (this.disk === undefined) throw new AtelierError('not_found', `There is no disk for ${step}.`);
    return this.disk;
  }
}
