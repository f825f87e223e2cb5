/**
 * Planted mutations: each is a mistake in one line of the real sources, and the simulation has to find it. One
 * that it does not find shows a rule that is missing in the oracles.
 */

/** A mistake: where, what it replaces, and what it means. */
export interface Mutation {
  /** Path from the folder of the packages. */
  readonly file: string;
  /** Stands in the file once. */
  readonly from: string;
  readonly to: string;
  /** What goes wrong then. */
  readonly mistake: string;
}

const plan = 'reconcile/src/environment';

/** Every planted mutation. */
export const mutations: readonly Mutation[] = [
  {
    file: `${plan}/situation.ts`,
    from: '    record.machineSession !== desired.machineSession ||\n    !contentIsMade(situation) ||',
    to: '    !contentIsMade(situation) ||',
    mistake: 'an instance of an earlier machine session is kept',
  },
  {
    file: `${plan}/situation.ts`,
    from: '    !contentIsMade(situation) ||\n    (rootIsMade',
    to: '    (rootIsMade',
    mistake: 'content is made anew under the running instance',
  },
  {
    file: `${plan}/situation.ts`,
    from: '    ready.contentSession === desired.contentSession &&',
    to: '',
    mistake: 'an environment counts as up with the content of an earlier session',
  },
  {
    file: `${plan}/situation.ts`,
    from: 'return observed.disk !== undefined && record.contentSession === desired.contentSession;',
    to: 'return observed.disk !== undefined;',
    mistake: 'a disk counts as full of content',
  },
  {
    file: `${plan}/situation.ts`,
    from: "  if (isFailed(desired, record) || isIdleStopped(desired, record)) return 'stopped';",
    to: "  if (isFailed(desired, record)) return 'stopped';",
    mistake: 'an idle stop is not carried out',
  },
  {
    file: `${plan}/forward.ts`,
    from: 'observed.disk !== undefined && observed.network && !contentIsMade(situation)',
    to: 'observed.disk !== undefined && !contentIsMade(situation)',
    mistake: 'content is cloned before there is a network',
  },
  {
    file: `${plan}/forward.ts`,
    from: '  if (ready) needs.push(...leftoverNeeds(situation));\n',
    to: '',
    mistake: 'root layers of earlier builds stay for ever',
  },
  {
    file: `${plan}/forward.ts`,
    from: 'if (!observed.network) needs.push',
    to: 'if (!observed.network && situation.record.boots === 0) needs.push',
    mistake: 'a network that was lost is not attached again',
  },
  {
    file: `${plan}/forward.ts`,
    from: "  else if (!ready) needs.push({ step: 'lifecycle', session: boot });",
    to: "  else needs.push({ step: 'lifecycle', session: boot });",
    mistake: 'an environment that is up waits for its commands for ever',
  },
  {
    file: `${plan}/backward.ts`,
    from: '  return observed.running.filter(({ step }) => !stepsBack.includes(step));',
    to: '  return [];',
    mistake: 'things are removed while an aborted step still makes them',
  },
  {
    file: `${plan}/backward.ts`,
    from: "  if (pinnedDigest !== undefined) release.push({ kind: 'pin' });\n",
    to: '',
    mistake: 'a deletion leaves the pin of the image',
  },
  {
    file: `${plan}/backward.ts`,
    from: "  if (network) release.push({ kind: 'network' });\n",
    to: '',
    mistake: 'a deletion leaves the network',
  },
  {
    file: `${plan}/backward.ts`,
    from: 'const session = main?.name ?? throwaway[0];',
    to: 'const session = main?.name;',
    mistake: 'a deletion leaves throw-away instances',
  },
  {
    file: `${plan}/backward.ts`,
    from: "situation.observed.network ? [{ kind: 'network' }] : []",
    to: '[]',
    mistake: 'a stopped environment keeps its network',
  },
  {
    file: `${plan}/changes.ts`,
    from: 'if (!isForward(situation) || record.boot !== undefined || observed.main !== undefined) return undefined;',
    to: 'if (!isForward(situation) || record.boot !== undefined) return undefined;',
    mistake: 'an instance that runs is given the name of a boot that was not',
  },
  {
    file: `${plan}/changes.ts`,
    from: "  const gone = main === undefined && record.boot === record.launchedBoot;\n  if (!gone && main?.state !== 'ended') return undefined;",
    to: '  return undefined;',
    mistake: 'an instance that ended by itself is not started again',
  },
  {
    file: `${plan}/changes.ts`,
    from: '  if (record.failure === undefined || isFailed(desired, record)) return undefined;',
    to: '  if (record.failure !== undefined || isFailed(desired, record)) return undefined;',
    mistake: 'a failure is never forgotten, also not by the next start',
  },
  {
    file: `${plan}/plan.ts`,
    from: 'wakeAtMs: settled ? undefined : earliest(situation, deadlineMs, readiness),',
    to: 'wakeAtMs: undefined,',
    mistake: 'nobody looks again after a step that failed',
  },
  {
    file: `${plan}/plan.ts`,
    from: '  return isReady(situation) ? undefined : record.goalSinceMs + deadlines.startMs;',
    to: '  return undefined;',
    mistake: 'a start has no deadline',
  },
  {
    file: `${plan}/record.ts`,
    from: 'return { contentSession: planned.session, contentWarning: result.contentWarning };',
    to: 'return { contentWarning: result.contentWarning };',
    mistake: 'content that was made is not written down',
  },
  {
    file: 'reconcile/src/garbage/plan.ts',
    from: '!facts.environmentIds.has(id) && !leased.has(id);',
    to: '!leased.has(id);',
    mistake: 'what is desired counts as left over',
  },
  {
    file: 'reconcile/src/timeout/plan.ts',
    from: 'const endMs = lastMs + timeoutMs;',
    to: 'const endMs = lastMs + 3 * timeoutMs;',
    mistake: 'the idle run on three times as long as was asked for',
  },
  {
    file: 'reconcile/src/loop.ts',
    from: '      entry.wokenAgain = true;\n',
    to: '',
    mistake: 'a wake-up during a pass is lost',
  },
  {
    file: 'reconcile/src/loop.ts',
    from: "if (outcome.kind !== 'retry') return undefined;",
    to: "if (outcome.kind !== 'settled') return undefined;",
    mistake: 'a pass that failed is not made again',
  },
  {
    file: 'runner/src/ledger.ts',
    from: '      await storage.write(encodeLedger(runnerId, decided.next));',
    to: '      setTimeout(() => void 0, 0);',
    mistake: 'the ledger acknowledges what it never writes',
  },
  {
    file: 'runner/src/ledger.ts',
    from: '    entries.delete(id);\n',
    to: '',
    mistake: 'the ledger keeps what the plane has forgotten',
  },
  {
    file: 'runner/src/plane-link/outbox.ts',
    from: '    for (const id of this.known.keys()) this.waiting.add(id);\n',
    to: '',
    mistake: 'what changed while the plane was away is never told',
  },
  {
    file: 'runner/src/plane-link/plane-link.ts',
    from: '      this.options.onDesired(touched, change);\n',
    to: '',
    mistake: 'a change is written into the ledger and nobody is woken',
  },
  {
    file: 'runner/src/environment-loop.ts',
    from: '    await this.write(environmentId, stored, record, memory);\n',
    to: '    if (stored === undefined) await this.write(environmentId, stored, record, memory);\n',
    mistake: 'the record is written once and never again',
  },
  {
    file: 'runner/src/steps/stop-step.ts',
    from: "if (parseInstanceName(name)?.part !== 'main') await parts.driver.images.unpin(name);",
    to: '',
    mistake: 'a deletion leaves the pin of a throw-away instance',
  },
  {
    file: 'runner/src/steps/content-step.ts',
    from: '  await parts.driver.disks.clearWorkspace(environmentId);\n',
    to: '',
    mistake: 'new content is cloned over the old one',
  },
  {
    file: 'runner/src/steps/image-step.ts',
    from: '  await parts.driver.images.pin(image.digest, environmentId);\n',
    to: '',
    mistake: 'the image of an environment is not pinned',
  },
  {
    file: 'runner/src/steps/throwaway.ts',
    from: '  } finally {\n    await driver.instances.remove(name);\n',
    to: '  } finally {\n',
    mistake: 'a throw-away instance stays beside the main one',
  },
  {
    file: 'plane/src/runner-link/observed.ts',
    from: "      await plane.store.delete('environment', row.id);\n",
    to: '      plane.log(row.id);\n',
    mistake: 'what is gone stays in the store',
  },
  {
    file: 'plane/src/runner-link/link.ts',
    from: '    if (partial) sendDesired(partial);\n    cursor = missed.revision;',
    to: '    cursor = missed.revision;',
    mistake: 'a runner that comes back is not told what it missed',
  },
  {
    file: 'plane/src/controllers/environment.ts',
    from: '    await takeOverStop(plane, row);\n',
    to: '',
    mistake: 'a stop for idleness never becomes the wish',
  },
  {
    file: 'plane/src/controllers/environment.ts',
    from: "    loop.wakeAll((await allRows(store, 'environment')).map(({ id }) => id));\n",
    to: '',
    mistake: 'a plane that starts looks at no environment',
  },
  {
    file: 'simulation/src/store/memory-store.ts',
    from: 'if (options.statusOnly !== true) record.contentRevision = record.revision;',
    to: '',
    mistake: 'the store says of no change that it is one of the wish',
  },
  {
    file: 'simulation/src/store/memory-store.ts',
    from: 'row.idempotencyKey === undefined ? undefined : this.#byIdempotencyKey(kind, row);',
    to: "kind === 'environment' ? undefined : this.#byIdempotencyKey(kind, row);",
    mistake: 'a create that comes twice makes two environments',
  },
  {
    file: 'simulation/src/store/memory-store.ts',
    from: "kind === 'environment' ? this.#database.ownedBy(id) : [];",
    to: '[];',
    mistake: 'services and tasks outlive their environment',
  },
];
