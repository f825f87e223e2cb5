/** Our errors on their way to clients, whether a call fails at once or its stream later. */
import { toAtelierError, toConnectError } from '@atelier/api';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { retryHeadersOf } from './http-status.ts';

/** Is told of an error that is our own fault, with the method that it happened in. */
export type ReportFault = (method: string, error: unknown) => void;

/** How the library's words begin about a message that cannot be read, with the code of a fault of ours. */
export const unreadablePattern = /^(?:parse binary: |received compressed envelope)/;

function isUnreadable(thrown: unknown): thrown is ConnectError {
  return (
    thrown instanceof ConnectError &&
    thrown.code === Code.Internal &&
    unreadablePattern.test(thrown.rawMessage)
  );
}

/** Maps every error of a handler to the wire. */
export function wireErrors(report: ReportFault = () => undefined): Interceptor {
  return (next) => async (request) => {
    const mapped = (thrown: unknown): ConnectError => {
      if (isUnreadable(thrown)) return new ConnectError(thrown.rawMessage, Code.InvalidArgument);
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
