/** Dev Container configurations: from the text of a devcontainer.json to ordered steps. Pure: no files, no clock. */
export * from './configuration.ts';
export * from './discover.ts';
export * from './image.ts';
export * from './lifecycle.ts';
export * from './parse.ts';
export * from './substitute.ts';
export * from './user.ts';
export * from './workspace.ts';
