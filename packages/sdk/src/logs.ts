/** Logs of an environment: life-cycle commands, steps, tasks and services, as bytes. */
import { request, type IncomingMessage } from 'node:http';
import { AtelierError, toAtelierError, type Clock, type ErrorCode } from '@atelier/api';
import type { EnvironmentAccess } from './access.ts';
import { isConnectionLoss, Patience } from './patience.ts';

/** Which part of a log. */
export interface LogOptions {
  /** Waits for more until the log has ended. */
  readonly follow: boolean;
  /** First byte; 0 for the whole log. */
  readonly offset?: number;
  readonly signal?: AbortSignal;
}

/** What {@link readLog} needs of a client. */
export interface LogSource {
  readonly clock: Clock;
  readonly patienceMs: number;
  access(environmentId: string): EnvironmentAccess;
}

/**
 * The bytes of a log by name: `step/<step>`, `lifecycle/<command>`, `service/<id>` or `task/<execution>/<step>`.
 * Goes on where it was when the connection breaks. Errors: `not_found`, `invalid_argument`, `unavailable`.
 */
export async function* readLog(
  source: LogSource,
  environmentId: string,
  name: string,
  options: LogOptions,
): AsyncGenerator<Uint8Array> {
  const { signal, follow } = options;
  const access = source.access(environmentId);
  const patience = new Patience(source.clock, source.patienceMs);
  let offset = options.offset ?? 0;
  for (;;) {
    try {
      const { url, token } = await access.open();
      const response = await get(`${url}/logs/${name}?offset=${offset}&follow=${follow}`, token, signal);
      patience.succeeded();
      for await (const chunk of response) {
        const data = chunk as Buffer;
        offset += data.length;
        yield data;
      }
      return;
    } catch (thrown) {
      if (signal?.aborted) return;
      const error = toAtelierError(thrown);
      if (!isConnectionLoss(error)) throw error;
      access.forget();
      await patience.wait(error, signal);
    }
  }
}

function get(url: string, token: string, signal: AbortSignal | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      { headers: { authorization: `Bearer ${token}` }, ...(signal && { signal }) },
      (response) => {
        if (response.statusCode === 200) return resolve(response);
        refusalOf(response).then(reject, reject);
      },
    );
    call.on('error', (cause) =>
      reject(new AtelierError('unavailable', `the runner cannot be reached: ${cause.message}`, { cause })),
    );
    call.end();
  });
}

async function refusalOf(response: IncomingMessage): Promise<AtelierError> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    const { code, message } = JSON.parse(text) as { code: ErrorCode; message: string };
    return new AtelierError(code, message);
  } catch (cause) {
    return new AtelierError('unavailable', `the runner answered with HTTP status ${response.statusCode}`, {
      cause,
    });
  }
}
