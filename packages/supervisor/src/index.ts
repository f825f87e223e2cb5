/** The supervisor as a library, for tests that run it in their own process. The program is `main.ts`. */
export type { Machine, TerminalAddon } from './machine.ts';
export { keepLink } from './link.ts';
export { supervisorServer } from './serve.ts';
export { Supervisor } from './supervisor.ts';
export { systemMachine } from './system.ts';
