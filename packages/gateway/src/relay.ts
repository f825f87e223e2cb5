/**
 * Passes calls on to a supervisor. Every message is decoded and encoded anew, so that nothing but the form
 * crosses in either direction: no header, no stray byte.
 */
import { AtelierError, toAtelierError } from '@atelier/api';
import type { DescMessage, DescMethod, DescService, MessageShape } from '@bufbuild/protobuf';
import {
  type ConnectRouter,
  type HandlerContext,
  type MethodImpl,
  type Transport,
} from '@connectrpc/connect';

/** Finds the transport for a call; throws to refuse. */
export type FindTransport = (context: HandlerContext) => Transport;

/** Registers a service whose every method is passed on. */
export function relayService(router: ConnectRouter, service: DescService, find: FindTransport): void {
  const methods = Object.fromEntries(
    service.methods.map((method) => [method.localName, relayMethod(method, find)]),
  );
  router.service(service, methods as never);
}

function relayMethod(method: DescMethod, find: FindTransport): MethodImpl<DescMethod> {
  if (method.methodKind === 'unary') {
    return (async (request: MessageShape<DescMessage>, context: HandlerContext) => {
      const call = find(context).unary(
        method as never,
        context.signal,
        undefined,
        undefined,
        request as never,
      );
      return (await call.catch(withoutMetadata)).message;
    }) as never;
  }
  return async function* (request: unknown, context: HandlerContext) {
    const input =
      method.methodKind === 'server_streaming' ? once(request) : (request as AsyncIterable<never>);
    try {
      const answer = await find(context).stream(
        method as never,
        context.signal,
        undefined,
        undefined,
        input as never,
      );
      yield* answer.message;
    } catch (thrown) {
      withoutMetadata(thrown);
    }
  } as never;
}

/** An error's code and message cross; its headers and details would be the inside's word to our client. */
function withoutMetadata(thrown: unknown): never {
  throw toAtelierError(thrown);
}

async function* once<T>(value: T): AsyncIterable<T> {
  yield value;
}

/** For a method that needs a supervisor while there is none. */
export function noSupervisor(environmentId: string): AtelierError {
  return new AtelierError(
    'unavailable',
    `environment ${environmentId} cannot be entered right now: it does not run, or its supervisor has not answered yet`,
  );
}
