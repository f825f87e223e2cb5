/** The management plane: `createPlane` is the thing itself, `startPlane` the thing on this machine. */
export type { PlaneContext } from './context.ts';
export { servePlane } from './http/server.ts';
export { bootstrap, planeIdentity } from './identity/bootstrap.ts';
export { startPlane, type PlaneOptions, type RunningPlane } from './main.ts';
export { createPlane, type Plane } from './plane.ts';
export type { RunnerLink } from './runner-link/link.ts';
export { principalKey, type Principal } from './identity/principal.ts';
