/** The public client of Atelier: typed calls, environments by name, processes, ports and logs inside them. */
export * from './access.ts';
export type { Caller } from './caller.ts';
export * from './client.ts';
export * from './environments.ts';
export * from './forward.ts';
export * from './logs.ts';
export * from './process.ts';
export * from './view.ts';
export * from './watch.ts';
