/** The definition of Atelier's shapes: errors, ids, phase, protocol versions. Messages: `@atelier/api/gitpod/*`. */
export * from './clock.ts';
export * from './errors.ts';
export * from './identifiers.ts';
export * from './phase.ts';
export * from './protocol.ts';
export * from './writable.ts';
