/**
 * The contract suites of the driver interfaces. Every driver package runs all four in a test of its own;
 * a bug that is found in any driver becomes a named case here first.
 */
export { diskDriverSuite } from './disk-suite.ts';
export { imageDriverSuite } from './image-suite.ts';
export { instanceDriverSuite } from './instance-suite.ts';
export { networkDriverSuite } from './network-suite.ts';
export type { DriverFactory, DriverSubject } from './subject.ts';
