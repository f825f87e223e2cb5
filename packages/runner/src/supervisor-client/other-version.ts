/** What a person is told of a supervisor that is not of the runner's version. */
import { AtelierError, compareVersions, softwareVersion, toAtelierError } from '@atelier/api';
import type { Transport } from '@connectrpc/connect';

const whatToDo = 'Stop and start the environment to give it the present one.';

/** A sentence that goes into the status; empty for a supervisor of the runner's own version. */
export function noteOnVersion(supervisorVersion: string): string {
  if (supervisorVersion === softwareVersion) return '';
  const isOlder = compareVersions(supervisorVersion, softwareVersion) < 0;
  const relation = isOlder ? 'older than' : 'of another version than';
  return `The supervisor in the environment (${supervisorVersion}) is ${relation} the runner (${softwareVersion}). What runs goes on. ${whatToDo}`;
}

/**
 * The transport, whose every call that an older supervisor does not know is refused with that reason:
 * `failed_precondition` in the place of a bare `unimplemented`.
 */
export function sayingWhatIsMissing(transport: Transport, supervisorVersion: string): Transport {
  if (!(compareVersions(supervisorVersion, softwareVersion) < 0)) return transport;
  const refuse = (method: string, thrown: unknown): never => {
    if (toAtelierError(thrown).code !== 'unimplemented') throw thrown;
    const message = `The supervisor in the environment (${supervisorVersion}) does not know ${method}; one of the runner's version (${softwareVersion}) may. ${whatToDo}`;
    throw new AtelierError('failed_precondition', message, { cause: thrown });
  };
  return {
    unary: (method, ...rest) =>
      transport.unary(method, ...rest).catch((thrown: unknown) => refuse(method.name, thrown)),
    async stream(method, ...rest) {
      const response = await transport
        .stream(method, ...rest)
        .catch((thrown: unknown) => refuse(method.name, thrown));
      return { ...response, message: refusing(response.message, (thrown) => refuse(method.name, thrown)) };
    },
  };
}

async function* refusing<T>(
  message: AsyncIterable<T>,
  refuse: (thrown: unknown) => never,
): AsyncGenerator<T> {
  try {
    yield* message;
  } catch (thrown) {
    refuse(thrown);
  }
}
