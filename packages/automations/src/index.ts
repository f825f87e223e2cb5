/**
 * Automations: from the text of an automations file to tasks and services, frozen plans, and the rules by
 * which a supervisor drives them. Pure: no files, no processes, no clock.
 */
export * from './execution.ts';
export * from './file.ts';
export * from './plan.ts';
export * from './process.ts';
export * from './service.ts';
