/** Texts to begin with: the project's own files, and those that others wrote where ATELIER_CORPUS says that they are. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../../..');

/** The project's own files at these paths, and the files of the corpus of this kind, in the order of their names. */
export function corpusTexts(kind: string, paths: readonly string[]): [string, ...string[]] {
  const own = paths.map((path) => readFileSync(join(root, path), 'utf8'));
  const corpus = process.env['ATELIER_CORPUS'];
  const folder = corpus === undefined ? undefined : join(corpus, kind);
  const others = folder === undefined ? [] : readdirSync(folder).sort();
  return ['', ...own, ...others.map((name) => readFileSync(join(folder ?? '', name), 'utf8'))];
}
