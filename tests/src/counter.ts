/** A program in a terminal inside that counts, so that a byte of it that is lost or doubled is seen. */
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Atelier, Begun } from './atelier.ts';
import { processInside } from './host.ts';

const burstLines = 20_000;
const waitMs = 60_000;

/** Counts slowly; one signal makes it count fast for a while, another one read a line, repeat it and end. */
const program = `
stty -echo
trap 'seq -f "burst %.0f" ${burstLines}; : > "$0.burst"' USR1
trap enough=yes USR2
i=0
until [ "$enough" ]; do i=$((i + 1)); echo "slow $i"; sleep 0.05; done
read -r line
echo "got $line"
exit 7
`;

/** The program, and everything that it has said. */
export class Counter {
  readonly #environmentId: string;
  readonly #file: string;
  readonly #terminal: Begun;
  /** A path inside that nothing else has. */
  readonly #mark: string;
  #bursts = false;

  private constructor(atelier: Atelier, environmentId: string, mark: string) {
    this.#environmentId = environmentId;
    this.#mark = mark;
    this.#file = join(mkdtempSync(join(atelier.folder, 'counter-')), 'output');
    const command = ['exec', '-t', environmentId, '--', 'sh', '-c', program, mark];
    this.#terminal = atelier.beginOnTerminal(command, `> ${this.#file}`);
  }

  /** Starts one; `mark` is a path inside, by which the machine finds it. */
  static async begin(atelier: Atelier, environmentId: string, mark: string): Promise<Counter> {
    const counter = new Counter(atelier, environmentId, mark);
    await counter.counts();
    return counter;
  }

  /** What the person saw beside the output. */
  get notes(): string {
    return this.#terminal.said.stdout;
  }

  /** Waits until more of it arrives here. */
  async counts(): Promise<void> {
    const before = this.#said().length;
    await expect.poll(() => this.#said().length, { timeout: waitMs }).toBeGreaterThan(before);
  }

  /** Makes it say a lot, by the machine and not through a daemon, and waits until it has said it. */
  async burst(): Promise<void> {
    const pid = this.#signal('SIGUSR1');
    this.#bursts = true;
    const said = `/proc/${pid}/root${this.#mark}.burst`;
    await expect.poll(() => existsSync(said), { timeout: waitMs }).toBe(true);
  }

  /** Types on the terminal. */
  type(text: string): void {
    this.#terminal.child.stdin?.write(text);
  }

  /** Lets it end, having read the line that was typed, and looks at every byte that it said. */
  async finish(typed: string): Promise<void> {
    await this.counts();
    this.#signal('SIGUSR2');
    expect(await this.#terminal.ended, this.notes).toMatchObject({ code: 7 });
    const numbers = (word: string, count: number): string =>
      Array.from({ length: count }, (_, index) => `${word} ${index + 1}\r\n`).join('');
    const said = this.#said();
    const rest = this.#bursts ? said.replace(numbers('burst', burstLines), '') : said;
    const count = Number(/slow (\d+)\r\ngot/.exec(rest)?.[1]);
    // Told apart by a flag, since a difference would be shown as a quarter of a million bytes.
    expect(rest === `${numbers('slow', count)}got ${typed}\r\n`, rest.slice(-2_000)).toBe(true);
  }

  #signal(name: NodeJS.Signals): number {
    const pid = processInside(this.#environmentId, this.#mark);
    if (pid === undefined) throw new Error(`nothing inside has the argument ${this.#mark}`);
    process.kill(pid, name);
    return pid;
  }

  #said(): string {
    return existsSync(this.#file) ? readFileSync(this.#file, 'latin1') : '';
  }
}
