/** Makes a run that breaks a rule smaller, as long as it still breaks the same rule. */
import type { Violation } from './view.ts';
import { simulate, type RunOptions, type RunReport } from './run.ts';
import { replayOf, type Scenario } from './scenario.ts';

const hourMs = 3_600_000;

/** What was found: the smallest scenario, its violation, and how many runs it took. */
export interface Shrunk {
  readonly scenario: Scenario;
  readonly violation: Violation;
  readonly runs: number;
}

/** How a scenario is tried; tests count and fake it. */
export type Try = (options: RunOptions) => Promise<Pick<RunReport, 'violations' | 'struck'>>;

/**
 * Shrinks a run: to the time of its violation, then to fewer users, fewer kinds of faults, fewer faults, and
 * the same again until nothing can be left out, in at most `runsMax` runs. Undefined when the run breaks nothing.
 */
export async function shrink(
  options: RunOptions,
  runsMax: number,
  attempt: Try = simulate,
): Promise<Shrunk | undefined> {
  const search = new Search(runsMax, attempt, options);
  const users = options.users ?? Array.from({ length: options.environments }, (_, index) => index);
  if (!(await search.begin({ seed: options.seed, hours: options.hours, users }))) return undefined;
  for (let before = -1; search.size() !== before && !search.isSpent();) {
    before = search.size();
    await search.fewer(
      (scenario) => scenario.users ?? [],
      (scenario, kept) => ({ ...scenario, users: kept }),
    );
    await search.fewerKinds();
    await search.fewer(
      (scenario) => scenario.permitted ?? [],
      (scenario, kept) => ({ ...scenario, permitted: kept }),
    );
  }
  return search.result();
}

class Search {
  #best: { scenario: Scenario; violation: Violation } | undefined;
  #runs = 0;
  readonly #runsMax: number;
  readonly #attempt: Try;
  readonly #options: RunOptions;

  constructor(runsMax: number, attempt: Try, options: RunOptions) {
    this.#runsMax = runsMax;
    this.#attempt = attempt;
    this.#options = options;
  }

  size(): number {
    const { users = [], permitted = [] } = this.#best?.scenario ?? {};
    return users.length * 1000 + permitted.length;
  }

  isSpent(): boolean {
    return this.#runs >= this.#runsMax;
  }

  result(): Shrunk | undefined {
    return this.#best && { ...this.#best, runs: this.#runs };
  }

  async begin({ seed, hours, users }: Pick<Scenario, 'seed' | 'hours' | 'users'>): Promise<boolean> {
    const { violations, struck } = await this.#run({ ...this.#options, users, stopAtFirst: true });
    const [violation] = violations;
    if (violation === undefined) return false;
    this.#best = { scenario: { seed, hours, users, permitted: struck }, violation };
    await this.#try({ seed, hours: hoursUntil(violation), users, permitted: struck });
    return true;
  }

  /** Leaves out halves, then quarters and so on of a list. */
  async fewer<Item>(
    listOf: (scenario: Scenario) => readonly Item[],
    withList: (scenario: Scenario, kept: readonly Item[]) => Scenario,
  ): Promise<void> {
    for (let parts = 2; ;) {
      const scenario = this.#best?.scenario;
      if (scenario === undefined || this.isSpent()) return;
      const list = listOf(scenario);
      const size = Math.ceil(list.length / parts);
      let smaller = false;
      for (let from = 0; from < list.length && !smaller; from += size) {
        smaller = await this.#try(withList(scenario, [...list.slice(0, from), ...list.slice(from + size)]));
      }
      if (smaller) parts = Math.max(2, parts - 1);
      else if (size <= 1) return;
      else parts *= 2;
    }
  }

  async fewerKinds(): Promise<void> {
    const kindOf = (name: string): string => name.split('#')[0] ?? '';
    for (const kind of new Set((this.#best?.scenario.permitted ?? []).map(kindOf))) {
      const scenario = this.#best?.scenario;
      if (scenario === undefined) return;
      const permitted = (scenario.permitted ?? []).filter((name) => kindOf(name) !== kind);
      await this.#try({ ...scenario, permitted });
    }
  }

  async #try(scenario: Scenario): Promise<boolean> {
    if (this.isSpent()) return false;
    const { violations, struck } = await this.#run({ ...this.#options, ...replayOf(scenario) });
    const violation = violations.find(({ oracle }) => oracle === this.#best?.violation.oracle);
    if (violation === undefined) return false;
    // What was permitted and did not strike is not needed.
    const permitted = (scenario.permitted ?? []).filter((name) => struck.includes(name));
    const hours = Math.min(scenario.hours, hoursUntil(violation));
    this.#best = { scenario: { ...scenario, permitted, hours }, violation };
    return true;
  }

  #run(options: RunOptions): ReturnType<Try> {
    this.#runs += 1;
    return this.#attempt(options);
  }
}

function hoursUntil({ awakeForMs }: Violation): number {
  return Math.ceil((awakeForMs / hourMs) * 100) / 100;
}
