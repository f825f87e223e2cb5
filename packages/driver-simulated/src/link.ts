/** The connection to a simulated supervisor: Connect in memory, over the machine's clock. */
import type { Clock } from '@atelier/api';
import type { SupervisorLink } from '@atelier/driver';
import {
  Code,
  ConnectError,
  createRouterTransport,
  type ConnectRouter,
  type Transport,
} from '@connectrpc/connect';

function gone(): ConnectError {
  return new ConnectError('The connection to the simulated supervisor is gone.', Code.Unavailable);
}

/**
 * Makes a link to what `routes` serve. Deadlines of calls run on `clock`; calls that are under way when the
 * link is closed fail with `unavailable`, and their handlers are aborted.
 */
export function openLink(clock: Clock, routes: (router: ConnectRouter) => void): SupervisorLink {
  const inner = createRouterTransport(routes);
  const ending = new AbortController();
  let close = (): void => {};
  const closed = new Promise<void>((resolve) => {
    close = () => {
      ending.abort(gone());
      resolve();
    };
  });
  // Each call has a signal of its own that says which of the three ended it: the caller, the deadline, the link.
  const scoped = (signal: AbortSignal | undefined, timeoutMs: number | undefined): CallScope =>
    callScope(clock, [signal, ending.signal], timeoutMs);
  const transport: Transport = {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const scope = scoped(signal, timeoutMs);
      try {
        const call = inner.unary(method, scope.signal, undefined, header, input, contextValues);
        return await Promise.race([call, scope.ended]);
      } finally {
        scope.finish();
      }
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const scope = scoped(signal, timeoutMs);
      try {
        const call = inner.stream(method, scope.signal, undefined, header, input, contextValues);
        const response = await Promise.race([call, scope.ended]);
        return { ...response, message: untilEnded(response.message, scope) };
      } catch (error) {
        scope.finish();
        throw error;
      }
    },
  };
  return { transport, closed, close };
}

interface CallScope {
  readonly signal: AbortSignal;
  /** Rejects with the reason when the call is ended from outside. */
  readonly ended: Promise<never>;
  finish(): void;
}

function callScope(
  clock: Clock,
  signals: readonly (AbortSignal | undefined)[],
  timeoutMs: number | undefined,
): CallScope {
  const controller = new AbortController();
  let reject: (reason: unknown) => void = () => {};
  const ended = new Promise<never>((_, no) => {
    reject = no;
  });
  ended.catch(() => {});
  const end = (reason: unknown): void => {
    reject(ConnectError.from(reason, Code.Canceled));
    controller.abort(reason);
  };
  const deadline = (): void =>
    end(new ConnectError('The deadline of the call is over.', Code.DeadlineExceeded));
  const timer = timeoutMs === undefined ? undefined : clock.timer(timeoutMs, deadline);
  const listeners = signals.flatMap((signal) => {
    if (signal === undefined) return [];
    if (signal.aborted) end(signal.reason);
    const listener = (): void => end(signal.reason);
    signal.addEventListener('abort', listener, { once: true });
    return [() => signal.removeEventListener('abort', listener)];
  });
  const finish = (): void => {
    timer?.cancel();
    for (const forget of listeners) forget();
  };
  return { signal: controller.signal, ended, finish };
}

async function* untilEnded<Message>(
  messages: AsyncIterable<Message>,
  scope: CallScope,
): AsyncIterable<Message> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), scope.ended]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    scope.finish();
  }
}
