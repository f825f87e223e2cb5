/** The loop and the pure plans that it carries out. */
export * from './lint.ts';
export * from './loop.ts';
export * from './environment/deadlines.ts';
export * from './environment/model.ts';
export * from './environment/plan.ts';
export * from './environment/record.ts';
export * from './environment/sessions.ts';
export * from './environment/status.ts';
export * from './automations/plan.ts';
export * from './automations/upsert.ts';
export * from './garbage/plan.ts';
export * from './placement/plan.ts';
export * from './timeout/plan.ts';
