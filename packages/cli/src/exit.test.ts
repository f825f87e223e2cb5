import { errorCodes } from '@atelier/api';
import { expect, it } from 'vitest';
import { exitCodeOf } from './exit.ts';

it('gives every error code an exit code of its own, none of them 0 or 255', () => {
  const codes = errorCodes.map(exitCodeOf);
  expect(new Set(codes).size).toBe(errorCodes.length);
  expect(codes.filter((code) => code <= 0 || code >= 255)).toEqual([]);
});
