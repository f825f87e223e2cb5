/** What a probe is, and the one program that a list of them becomes. */

/** Where probes run: `environment` by exec as root, `build` in a RUN step, `throw-away` as initializeCommand. */
export const places = ['environment', 'build', 'throw-away'] as const;
/** One of them. */
export type Place = (typeof places)[number];

/**
 * One way out that has to be closed. `attack` is the body of a Perl function that gives a true text when it got
 * through and a false one when it was stopped; it must do no harm where it gets through, because in the control it
 * does. It sees `%fact`, and what `prelude.pl` defines. The text `absent: ...` means that this machine has no such
 * thing to get at.
 */
export interface Probe {
  readonly name: string;
  /** What is lost when it gets through. */
  readonly protects: string;
  readonly attack: string;
  /** Where the attack is known to get through, which shows that it can: see `controls.ts`. */
  readonly control: 'bare' | 'open-network';
  /** Left out where it has nothing to get at; everywhere when missing. */
  readonly where?: readonly Place[];
}

/** How a probe ended: the attack got through, was stopped, found nothing to get at, or did not work at all. */
export interface Outcome {
  readonly verdict: 'through' | 'held' | 'absent' | 'broken';
  readonly detail: string;
}

/** What attacks are aimed at: made by the test, or the daemon's. */
export type Facts = Readonly<Record<string, string>>;

/** The program that runs probes one after another, each in a process of its own, and prints a line for each. */
export function programOf(prelude: string, probes: readonly Probe[], facts: Facts): string {
  const table = probes.map(({ name, attack }) => `[${quote(name)}, sub {\n${attack}\n}],`);
  const known = Object.entries(facts).map(([name, value]) => `${quote(name)} => ${quote(value)},`);
  return `${prelude}\nour %fact = (\n${known.join('\n')}\n);\nrun_probes(\n${table.join('\n')}\n);\n`;
}

/** The outcomes by the names of their probes, from what the program printed. */
export function outcomesOf(output: string): Map<string, Outcome> {
  const lines = output.split('\n').filter((line) => line.startsWith('probe\t'));
  return new Map(
    lines.map((line) => {
      const [, name = '', verdict = '', detail = ''] = line.split('\t');
      return [name, { verdict: verdict as Outcome['verdict'], detail }];
    }),
  );
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
