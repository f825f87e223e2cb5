/** Dials the runner, serves it, and dials again whenever the connection is lost. */
import { connect, type Socket } from 'node:net';
import { sleep, type Clock } from '@atelier/api';

/** Between two attempts: the first soon, since a runner that restarts is back within a second. */
const retryMsMin = 20;
const retryMsMax = 1000;

/** Goes on until `signal` is aborted. `serve` resolves when its connection is over. */
export async function keepLink(
  clock: Clock,
  socketPath: string,
  serve: (socket: Socket) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let retryMs = retryMsMin;
  while (!signal.aborted) {
    const socket = connect(socketPath);
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (connected) {
      const startedMs = clock.nowMs();
      const close = (): void => void socket.destroy();
      signal.addEventListener('abort', close, { once: true });
      // It may have been aborted while it was dialling.
      if (signal.aborted) close();
      await serve(socket);
      signal.removeEventListener('abort', close);
      // Somebody who accepts and hangs up at once is asked less and less often.
      if (clock.nowMs() - startedMs > retryMsMax) retryMs = retryMsMin;
    }
    await sleep(clock, retryMs, signal);
    retryMs = Math.min(retryMs * 2, retryMsMax);
  }
}
