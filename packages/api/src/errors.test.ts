import { expect, it, vi } from 'vitest';
import { AtelierError, toAtelierError } from './errors.ts';

it('keeps the code of an error that another copy of this module made', async () => {
  vi.resetModules();
  const other = await import('./errors.ts');
  expect(other.AtelierError).not.toBe(AtelierError);
  expect(toAtelierError(new other.AtelierError('not_found', 'gone')).code).toBe('not_found');
  const imitation = Object.assign(new Error('odd'), { name: 'AtelierError', code: 'odd' });
  expect(toAtelierError(imitation).code).toBe('internal');
});
