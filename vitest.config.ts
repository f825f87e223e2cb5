import { defineConfig } from 'vitest/config';

const everywhere = ['packages/*/src/**', 'tests/**', 'bench/**', 'tools/**'];

/**
 * Two projects: `unit` shares one process per worker, so that hundreds of small files start once; `container` makes
 * namespaces, mounts and interfaces, so it runs one file at a time, each in a process of its own.
 */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: everywhere.map((folder) => `${folder}/*.test.ts`),
          exclude: ['**/node_modules/**', '**/*.container.test.ts'],
          pool: 'forks',
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'container',
          include: everywhere.map((folder) => `${folder}/*.container.test.ts`),
          exclude: ['**/node_modules/**'],
          pool: 'forks',
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
