/** All migrations by name; names begin with the day, so that branches never collide. */
import type { Migration } from 'kysely/migration';
import { migration as resources } from './2026-11-22-resources.ts';

/** In the order of their names. */
export const migrations: Record<string, Migration> = {
  '2026-11-22-resources': resources,
};
