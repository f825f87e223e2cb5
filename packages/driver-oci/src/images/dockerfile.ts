/**
 * The little that must be known of a Dockerfile before it is built: which images it takes from outside. They are
 * pulled by us, because the build itself has neither the host's network nor the user's credentials. Pure.
 */

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Joins continued lines and leaves out comments and the bodies of here-documents. */
function instructionsOf(text: string): Instruction[] {
  const escape = /^\s*#\s*escape\s*=\s*(\S)/im.exec(text.split(/\r?\n(?!\s*#)/)[0] ?? '')?.[1] ?? '\\';
  const instructions: Instruction[] = [];
  let pending = '';
  let until: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (until[0] !== undefined) {
      if (line.trim() === until[0]) until = until.slice(1);
      continue;
    }
    if (/^\s*#/.test(line) || (pending !== '' && line.trim() === '')) continue;
    const trimmed = line.trimEnd();
    if (trimmed.endsWith(escape)) {
      pending += `${trimmed.slice(0, -1)} `;
      continue;
    }
    const [, name, rest] = /^\s*([A-Za-z]+)\s+(.*)$/.exec(pending + line) ?? [];
    pending = '';
    if (name === undefined || rest === undefined) continue;
    instructions.push({ name: name.toUpperCase(), rest: rest.trim() });
    if (/^(RUN|COPY|ADD)$/i.test(name)) {
      until = [...rest.matchAll(/<<-?["']?([A-Za-z_][A-Za-z0-9_]*)["']?/g)].map((match) => match[1] ?? '');
    }
  }
  return instructions;
}

/** Puts the values of arguments in; what has no value becomes empty. */
function substitute(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(
    /\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?::([-+])([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))/g,
    (_, braced?: string, sign?: string, word = '', bare?: string) => {
      const value = values.get(braced ?? bare ?? '') ?? '';
      if (sign === '-') return value || word;
      if (sign === '+') return value && word;
      return value;
    },
  );
}

const unquoted = (text: string): string => text.replace(/^(["'])(.*)\1$/, '$2');

/**
 * The references of all images that a build up to `target` takes from outside, each once, as they are written
 * with the arguments put in. Stages, their numbers and `scratch` are not among them.
 */
export function externalImages(
  text: string,
  buildArguments: Readonly<Record<string, string>>,
  target?: string,
): string[] {
  const values = new Map<string, string>();
  const stages = new Set<string>(['scratch']);
  const images = new Set<string>();
  let stageCount = 0;
  let current = '';
  const add = (written: string): void => {
    const image = unquoted(substitute(written, values));
    if (!stages.has(image.toLowerCase())) images.add(image);
  };
  for (const { name, rest } of instructionsOf(text)) {
    if (name === 'ARG' && stageCount === 0) {
      for (const [, key = '', value] of rest.matchAll(
        /([A-Za-z_][A-Za-z0-9_]*)(?:=("[^"]*"|'[^']*'|\S*))?/g,
      )) {
        values.set(key, buildArguments[key] ?? unquoted(substitute(value ?? '', values)));
      }
    } else if (name === 'FROM') {
      if (stageCount > 0 && target !== undefined && isStage(target, current, stageCount - 1)) break;
      const [image = '', as, stage] = rest.split(/\s+/).filter((word) => !word.startsWith('--'));
      add(image);
      current = as?.toLowerCase() === 'as' ? (stage ?? '').toLowerCase() : '';
      if (current !== '') stages.add(current);
      stages.add(String(stageCount++));
    } else if (name === 'COPY' || name === 'ADD') {
      const from = /(?:^|\s)--from=(\S+)/.exec(rest)?.[1];
      if (from !== undefined) add(from);
    } else if (name === 'RUN') {
      for (const [, options = ''] of rest.matchAll(/--mount=(\S+)/g)) {
        const from = /(?:^|,)from=([^,]+)/.exec(options)?.[1];
        if (from !== undefined) add(from);
      }
    }
  }
  return [...images];
}

function isStage(target: string, name: string, index: number): boolean {
  return target.toLowerCase() === name || target === String(index);
}
