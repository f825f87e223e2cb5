/** How long each step of an environment's life, and each whole way, may take. */
import type { EnvironmentDeadlines } from './model.ts';

const second = 1000;
const minute = 60 * second;

/**
 * The deadlines that hold unless a runner is configured otherwise, in milliseconds. The long ones are for
 * work that somebody else's network or code decides about; a shutdown has room for the two minutes that a
 * service may take to stop, and that of a deletion for the few seconds that end a process cleanly. The whole
 * way to running has room for one long content, image and life cycle.
 */
export const defaultDeadlines: EnvironmentDeadlines = {
  steps: {
    disk: minute,
    content: 30 * minute,
    configuration: 5 * minute,
    image: 60 * minute,
    root: 2 * minute,
    network: minute,
    instance: minute,
    supervisor: 30 * second,
    lifecycle: 60 * minute,
    shutdown: 150 * second,
    stop: minute,
    release: 10 * minute,
  },
  linkLostMs: 10 * minute,
  deletedShutdownMs: 15 * second,
  startMs: 180 * minute,
  stopMs: 5 * minute,
  deleteMs: 20 * minute,
};
