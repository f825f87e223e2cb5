/** Ctrl-C and friends as an AbortSignal. */
import type { System } from './system.ts';

/** Aborts when the person, the shell or the machine asks this process to end. A second time ends it at once. */
export function ownEnding(system: System): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const stops = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((name) =>
    system.onSignal(name, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort();
    }),
  );
  return {
    signal: controller.signal,
    dispose: () => {
      for (const stop of stops) stop();
    },
  };
}
