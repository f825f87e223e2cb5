/** What of the C library Node does not offer: processes that are started without copying this one. */
export { type Koffi } from './libc.ts';
export {
  makeStarter,
  type ProcessEnd,
  type ProcessStart,
  type StartedProcess,
  type Starter,
  type StartFailure,
} from './start.ts';
