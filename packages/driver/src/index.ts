/** The driver interfaces; their contract suites are in `@atelier/driver/suite`. */
export * from './disk.ts';
export * from './driver.ts';
export * from './image.ts';
export * from './instance.ts';
export * from './network.ts';
