/** All targets by name. Each is loaded when it is run. */
import type { Target } from './target.ts';

/** The targets. */
export const targets: Readonly<Record<string, () => Promise<Target>>> = {
  devcontainer: async () => (await import('./targets/devcontainer.ts')).devcontainer,
  automations: async () => (await import('./targets/automations.ts')).automations,
  'command-line': async () => (await import('./targets/command-line.ts')).commandLine,
  'plane-port': async () => (await import('./targets/plane-port.ts')).planePort,
  'plane-link': async () => (await import('./targets/plane-link.ts')).planeLink,
  'runner-link': async () => (await import('./targets/runner-link.ts')).runnerLink,
  'runner-port': async () => (await import('./targets/runner-port.ts')).runnerPort,
  supervisor: async () => (await import('./targets/supervisor.ts')).supervisor,
  'supervisor-client': async () => (await import('./targets/supervisor-client.ts')).supervisorClient,
};
