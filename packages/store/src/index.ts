/** The store of the management plane: interface, kinds, and PostgreSQL. */
export * from './embedded.ts';
export * from './kinds.ts';
export * from './postgres.ts';
export * from './store.ts';
