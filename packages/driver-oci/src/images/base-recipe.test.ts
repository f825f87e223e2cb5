import { describe, expect, it } from 'vitest';
import { baseKey, baseRecipe, debianRelease } from './base-recipe.ts';

describe('the base image', () => {
  it('has another key when anything of its recipe is different', () => {
    const recipe = baseRecipe('bookworm');
    const keys = [
      recipe,
      baseRecipe('trixie'),
      { ...recipe, packages: [...recipe.packages, 'vim'] },
      { ...recipe, script: `${recipe.script}true\n` },
    ].map(baseKey);
    expect(new Set(keys).size).toBe(keys.length);
    expect(baseKey(baseRecipe('bookworm'))).toBe(keys[0]);
  });

  it.each([
    ['ID=debian\nVERSION_CODENAME=trixie\n', 'trixie'],
    ['ID="debian"\nVERSION_CODENAME="bookworm"\n', 'bookworm'],
    ['ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n', 'bookworm'],
    ['', 'bookworm'],
  ])('of the machine %j is made from %s', (text, release) => {
    expect(debianRelease(text)).toBe(release);
  });
});
