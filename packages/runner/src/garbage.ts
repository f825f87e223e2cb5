/** Left-overs on the runner's machine: looked for now and then, and taken away as the plan says. */
import { parseInstanceName, toAtelierError, type Clock } from '@atelier/api';
import type { Driver } from '@atelier/driver';
import { planGarbage, type GarbagePlan, type Lease } from '@atelier/reconcile';
import type { EnvironmentPasses } from './environment-loop.ts';
import type { Ledger } from './ledger.ts';
import { throwawayName } from './steps/throwaway.ts';
import type { RecordStorage } from './storage.ts';

/** What the collector looks at and acts on. */
export interface GarbageOptions {
  readonly clock: Clock;
  readonly driver: Driver;
  readonly ledger: Ledger;
  readonly records: RecordStorage;
  readonly passes: EnvironmentPasses;
  /** Told of disks that nobody wishes for and nobody deleted, and of what could not be taken away. */
  readonly report: (message: string) => void;
}

// A lease is as long as its step runs: it is taken from what runs now and must only outlive the pass.
const leaseMs = 60_000;
const throwawayParts = ['content', 'initialize', 'build'] as const;

/** Collects left-overs; each call is one pass. */
export class GarbageCollector {
  private readonly options: GarbageOptions;
  private suspects: ReadonlyMap<string, number> = new Map();
  private reportedOrphans = '';

  constructor(options: GarbageOptions) {
    this.options = options;
  }

  /** One pass. Before a desired set is known, everything would look left over, so nothing is done. */
  async pass(): Promise<GarbagePlan | undefined> {
    const { clock, driver, ledger, records } = this.options;
    if (ledger.revision() === 0n) return undefined;
    const [disks, networks, instances, pins] = await Promise.all([
      driver.disks.list(),
      driver.networks.list(),
      driver.instances.list(),
      driver.images.listPins(),
    ]);
    const plan = planGarbage({
      // An environment that is only in the records is kept and stopped by its own plan.
      environmentIds: new Set([...(await records.list()), ...ledger.ids()]),
      tombstones: new Set(),
      leases: this.leases(),
      disks: disks.map(({ environmentId }) => environmentId),
      networks: networks.map(({ environmentId }) => environmentId),
      instances: instances.map(({ name }) => name),
      // The pin of a throw-away instance goes with the instance, so it is judged by the environment's id.
      pins: [...pins.keys()].filter((owner) => parseInstanceName(owner) === undefined),
      suspects: this.suspects,
      nowMs: clock.nowMs(),
    });
    this.suspects = plan.suspects;
    await this.carryOut(plan, [...pins.keys()]);
    return plan;
  }

  /** Throw-away instances are held by the steps that run; everything else by the desired set. */
  private leases(): Lease[] {
    const { clock, ledger, passes } = this.options;
    const expiresAtMs = clock.nowMs() + leaseMs;
    return ledger
      .ids()
      .filter((id) => (passes.memoryOf(id)?.steps.attempts().length ?? 0) > 0)
      .flatMap((id) => throwawayParts.map((part) => ({ owner: throwawayName(id, part), expiresAtMs })));
  }

  private async carryOut(plan: GarbagePlan, pinOwners: readonly string[]): Promise<void> {
    const { driver, report } = this.options;
    const leased = new Set(this.leases().map(({ owner }) => owner));
    const leftPins = pinOwners.filter(
      (owner) => parseInstanceName(owner) !== undefined && !leased.has(owner),
    );
    const removals = [
      ...plan.instances.map((name) => () => driver.instances.remove(name)),
      ...plan.networks.map((id) => () => driver.networks.remove(id)),
      ...[...plan.pins, ...leftPins].map((owner) => () => driver.images.unpin(owner)),
      ...plan.disks.map((id) => () => driver.disks.remove(id)),
    ];
    for (const remove of removals) {
      await remove().catch((thrown: unknown) => report(toAtelierError(thrown).message));
    }
    const orphans = plan.orphanDisks.join(', ');
    if (orphans === this.reportedOrphans) return;
    this.reportedOrphans = orphans;
    if (orphans !== '') {
      report(
        `Nobody wishes for the disks of ${orphans} and nobody deleted them. They are kept; remove them by hand when they are not needed.`,
      );
    }
  }
}
