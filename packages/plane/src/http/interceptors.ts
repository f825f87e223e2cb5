/** What every call goes through: validation of the request by the rules in the definition. */
import { AtelierError } from '@atelier/api';
import type { Message } from '@bufbuild/protobuf';
import { createValidator, type Validator } from '@bufbuild/protovalidate';
import type { Interceptor } from '@connectrpc/connect';

/** Checks requests, never responses: honest answers break some of the public rules. */
export function validateRequests(): Interceptor {
  const validator = createValidator();
  return (next) => async (request) => {
    if (!request.stream) {
      check(validator, request.method.input, request.message);
      return next(request);
    }
    if (request.method.methodKind !== 'server_streaming') return next(request);
    const checked = async function* () {
      for await (const message of request.message) {
        check(validator, request.method.input, message);
        yield message;
      }
    };
    return next({ ...request, message: checked() });
  };
}

function check(validator: Validator, schema: Parameters<Validator['validate']>[0], message: Message): void {
  const result = validator.validate(schema, message);
  if (result.kind === 'valid') return;
  if (result.kind === 'error') {
    throw new AtelierError('internal', `the request could not be checked: ${result.error.message}`, {
      cause: result.error,
    });
  }
  const violations = result.violations.map(
    (violation) => `${fieldPath(violation.field)}: ${violation.message}`,
  );
  throw new AtelierError('invalid_argument', violations.join('; '));
}

function fieldPath(field: readonly { kind: string; name?: string; index?: number; key?: unknown }[]): string {
  let path = '';
  for (const element of field) {
    if (element.name !== undefined) path += path === '' ? element.name : `.${element.name}`;
    else if (element.index !== undefined) path += `[${element.index}]`;
    else if (element.key !== undefined) path += `[${JSON.stringify(String(element.key))}]`;
  }
  return path === '' ? 'request' : path;
}
