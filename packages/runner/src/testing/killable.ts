/** A runner's surroundings that stop answering at one chosen effect, as they do when its process is killed. */
import type { Driver } from '@atelier/driver';
import type { LedgerStorage, RecordStorage } from '../storage.ts';
import type { MemoryDisk } from './memory-storage.ts';

/** When the process dies: at the n-th effect, counted from 1, before or after it has happened. */
export interface Death {
  readonly atEffect: number;
  readonly moment: 'before' | 'after';
}

/** Methods that change something; every other one only looks. */
const effects = new Set([
  'ensure',
  'ensureGeneration',
  'removeGeneration',
  'clearWorkspace',
  'pin',
  'unpin',
  'start',
  'stop',
  'remove',
  'write',
]);

/** Surroundings under a death. */
export interface Killable {
  readonly driver: Driver;
  readonly ledger: LedgerStorage;
  readonly records: RecordStorage;
  /** Effects so far. */
  count(): number;
  isDead(): boolean;
  /** The names of the effects so far, for messages. */
  readonly names: string[];
}

/** Wraps driver and disk. Once dead, nothing answers any more. */
export function killable(driver: Driver, disk: MemoryDisk, death?: Death): Killable {
  let count = 0;
  let dead = false;
  const names: string[] = [];
  const never = new Promise<never>(() => undefined);
  const call = async (name: string, isEffect: boolean, run: () => unknown): Promise<unknown> => {
    if (dead) return never;
    if (!isEffect) return run();
    count += 1;
    names.push(name);
    const dies = count === death?.atEffect;
    if (dies && death.moment === 'before') {
      dead = true;
      return never;
    }
    const answer = await run();
    // A death during another call ends this one as well.
    if (dies) dead = true;
    return dead ? never : answer;
  };
  const wrap = <T extends object>(part: string, object: T): T =>
    new Proxy(object, {
      get(target, key, receiver) {
        const value: unknown = Reflect.get(target, key, receiver);
        if (typeof value !== 'function') return value;
        return (...words: unknown[]) =>
          call(`${part}.${String(key)}`, effects.has(String(key)), () => value.apply(target, words));
      },
    });
  return {
    driver: {
      name: driver.name,
      images: wrap('images', driver.images),
      disks: wrap('disks', driver.disks),
      networks: wrap('networks', driver.networks),
      instances: wrap('instances', driver.instances),
      probe: () => driver.probe(),
      close: () => driver.close(),
    },
    ledger: wrap('ledger', disk.ledger),
    records: wrap('records', disk.records),
    count: () => count,
    isDead: () => dead,
    names,
  };
}
