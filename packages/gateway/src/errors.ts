/** Our errors on their way to clients, whether a call fails at once or its stream later. */
import { toAtelierError, toConnectError } from '@atelier/api';
import type { ConnectError, Interceptor } from '@connectrpc/connect';
import { retryHeadersOf } from './http-status.ts';

/** Is told of an error that is our own fault, with the method that it happened in. */
export type ReportFault = (method: string, error: unknown) => void;

/** Maps every error of a handler to the wire. */
export function wireErrors(report: ReportFault = () => undefined): Interceptor {
  return (next) => async (request) => {
    const mapped = (thrown: unknown): ConnectError => {
      const { code } = toAtelierError(thrown);
      if (code === 'internal' || code === 'data_loss')
        report(`${request.service.typeName}/${request.method.name}`, thrown);
      const error = toConnectError(thrown);
      for (const [name, value] of Object.entries(retryHeadersOf(code))) error.metadata.set(name, value);
      return error;
    };
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: mapStream(response.message, mapped) };
    } catch (thrown) {
      throw mapped(thrown);
    }
  };
}

async function* mapStream<T>(stream: AsyncIterable<T>, mapped: (thrown: unknown) => ConnectError) {
  try {
    yield* stream;
  } catch (thrown) {
    throw mapped(thrown);
  }
}
