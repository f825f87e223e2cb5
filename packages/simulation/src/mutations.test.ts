import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findMutation } from './mutation-search.ts';
import { mutations } from './mutations.ts';

const packages = new URL('../../', import.meta.url);
const limitMs = 120_000;

// That each is found is what `pnpm mutations` tries: it takes longer than a check may.
describe('a planted mutation', () => {
  it.each(mutations)('$file: $mistake: still applies', ({ file, from, to }) => {
    const text = readFileSync(new URL(file, packages), 'utf8');
    expect(text.split(from), `${file} has its text once`).toHaveLength(2);
    expect(to).not.toBe(from);
  });

  it('that does not apply any more is refused with words', async () => {
    const [known] = mutations;
    if (known === undefined) expect.unreachable();
    const mutation = { ...known, from: 'this text is nowhere' };
    const search = findMutation({ mutation, seedsMax: 1, shrinkRunsMax: 0 }, limitMs);
    await expect(search).rejects.toMatchObject({ message: expect.stringContaining('does not apply') });
  });
});
