/**
 * Faults as configuration: which call of the driver fails, how, and how often. An instance that dies by
 * itself or a supervisor that never dials is behaviour of the inside: see `behaviour.ts`.
 */
import { AtelierError, sleep, type Clock, type ErrorCode, type Random } from '@atelier/api';

/** Every method of a driver that a fault can be put on, by its interface and name. */
export const faultMethods = [
  'images.ensure',
  'images.inspect',
  'images.pin',
  'images.unpin',
  'images.listPins',
  'disks.list',
  'disks.inspect',
  'disks.ensure',
  'disks.ensureGeneration',
  'disks.removeGeneration',
  'disks.clearWorkspace',
  'disks.remove',
  'disks.usage',
  'networks.list',
  'networks.ensure',
  'networks.remove',
  'instances.list',
  'instances.inspect',
  'instances.start',
  'instances.stop',
  'instances.remove',
  'instances.listen',
  'instances.usage',
  'probe',
] as const;

/** A method of a driver that a fault can be put on. */
export type FaultMethod = (typeof faultMethods)[number];

/** What goes wrong with one call. */
export type Fault =
  /** The call fails with this code and has had no effect: `unavailable` may go away, `failed_precondition` not. */
  | { readonly kind: 'error'; readonly code: ErrorCode }
  /** The call has its effect and then fails with `unavailable`. */
  | { readonly kind: 'lost-answer' }
  /** The call waits this long before it begins. */
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** The call has its effect twice, as when a client asks again that heard nothing. */
  | { readonly kind: 'duplicate' }
  /** The call waits for this promise before it begins. */
  | { readonly kind: 'block'; readonly until: Promise<void> };

/** One rule: the first of the list that hits a call decides what goes wrong with it. */
export interface FaultRule {
  /** The methods that it is for; `*` means all. */
  readonly methods: readonly FaultMethod[] | '*';
  readonly fault: Fault;
  /**
   * `probability`: chance in [0, 1] that a call is hit. `calls`: exactly these calls of the rule's methods
   * are hit, counted from 1 since the machine was made. `decide`: asked at each call.
   */
  readonly when:
    | { readonly probability: number }
    | { readonly calls: readonly number[] }
    | { readonly decide: (random: Random) => boolean };
}

/** The faults of a machine. Rules may be changed while it runs; a call reads them when it begins. */
export interface SimulatedFaults {
  rules: readonly FaultRule[];
  /** Told of every fault that was put on a call: for counting. */
  onFault?: ((method: FaultMethod, fault: Fault) => void) | undefined;
}

/** Runs the calls of a driver under the rules. */
export interface FaultGate {
  /** Runs one call. An effect that is synchronous happens as a whole or not at all. */
  call<Answer>(
    method: FaultMethod,
    effect: () => Answer | Promise<Answer>,
    signal?: AbortSignal,
  ): Promise<Answer>;
  /** Calls that have not had their effect fail from now on, as those of a process that is gone. */
  close(): void;
}

/** Makes the gate; it counts calls for itself. `onEffect` is called after each call that had its effect. */
export function faultGate(
  faults: SimulatedFaults,
  clock: Clock,
  random: Random,
  onEffect: () => void = () => {},
): FaultGate {
  const counts = new Map<FaultRule, number>();
  const hits = (rule: FaultRule): boolean => {
    const { when } = rule;
    if ('decide' in when) return when.decide(random);
    if ('probability' in when) return random() < when.probability;
    const count = (counts.get(rule) ?? 0) + 1;
    counts.set(rule, count);
    return when.calls.includes(count);
  };
  let closed = false;
  return {
    close() {
      closed = true;
    },
    async call(method, effect, signal) {
      const rule = faults.rules.find(
        (each) => (each.methods === '*' || each.methods.includes(method)) && hits(each),
      );
      if (rule !== undefined) faults.onFault?.(method, rule.fault);
      await before(rule?.fault, method, clock, signal);
      if (signal?.aborted) throw new AtelierError('canceled', `${method} was given up by its caller.`);
      if (closed) throw new AtelierError('unavailable', `The driver was closed before ${method} began.`);
      if (rule?.fault.kind === 'duplicate') await effect();
      const answer = await effect();
      onEffect();
      if (rule?.fault.kind === 'lost-answer') throw injected(method, 'unavailable');
      return answer;
    },
  };
}

async function before(
  fault: Fault | undefined,
  method: FaultMethod,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<void> {
  switch (fault?.kind) {
    case 'error':
      throw injected(method, fault.code);
    case 'delay':
      return sleep(clock, fault.delayMs, signal);
    case 'block':
      return Promise.race([fault.until, aborted(signal)]);
    default:
      return undefined;
  }
}

function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

function injected(method: FaultMethod, code: ErrorCode): AtelierError {
  return new AtelierError(code, `${method} failed because the simulated driver was told to.`);
}
