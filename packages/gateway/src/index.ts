/** The ways in: the port, its protocols, and an environment's own services behind it. */
export * from './access-token.ts';
export * from './access.ts';
export * from './dispatch.ts';
export * from './environment-gateway.ts';
export * from './errors.ts';
export * from './listener.ts';
