/** The simulated driver, its machine and the configuration of what goes wrong in it. */
export type { SimulatedBehaviour } from './behaviour.ts';
export { createSimulatedDriver, type SimulatedDriverOptions } from './driver.ts';
export {
  faultMethods,
  type Fault,
  type FaultMethod,
  type FaultRule,
  type SimulatedFaults,
} from './faults.ts';
export type { SimulatedInstance } from './instance.ts';
export { SimulatedMachine, type SimulatedMachineOptions } from './machine.ts';
export type { ProgramCall, ProgramResult, SimulatedProgram } from './programs.ts';
export type { SimulatedDisk, SimulatedFiles, SimulatedRepository } from './workspace.ts';
