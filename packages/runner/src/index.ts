/** The runner as a library: what the simulation and tests take apart. The process is in `main.ts`. */
export { type LocalFolders, machineFolders } from './content/local-folder.ts';
export { noKeys, type SshKeys } from './content/ssh-keys.ts';
export type { EnvironmentSettings } from './environment.ts';
export type { RunnerIdentity } from './identity.ts';
export { type Ledger, openLedger } from './ledger.ts';
export { type LogStorage, openLogStorage } from './log-storage.ts';
export { createLogs } from './logs.ts';
export { createOutbox } from './plane-link/outbox.ts';
export {
  createPlaneLink,
  type Dial,
  defaultPlaneLinkSettings,
  type PlaneLinkState,
} from './plane-link/plane-link.ts';
export { createRunner, type Runner, type RunnerOptions, type RunnerSettings } from './runner.ts';
export {
  type LedgerStorage,
  openLedgerStorage,
  openRecordStorage,
  type RecordDocument,
  type RecordStorage,
} from './storage.ts';
export { SupervisorClient } from './supervisor-client/supervisor-client.ts';
