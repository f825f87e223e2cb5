import { describe, expect, it } from 'vitest';
import { pullError } from './pull.ts';
import { parseReference } from './reference.ts';

describe('what a registry says', () => {
  it.each([
    ['reading manifest none in 127.0.0.1:5000/a: manifest unknown: manifest unknown', 'not_found'],
    ['repository name not known to registry', 'not_found'],
    ['no image found in image index for architecture arm64, variant "v8", OS linux', 'not_found'],
    ['unauthorized: authentication required', 'permission_denied'],
    ['requested access to the resource is denied', 'permission_denied'],
    ['toomanyrequests: You have reached your pull rate limit', 'unavailable'],
    ['dial tcp 127.0.0.1:1: connect: connection refused', 'unavailable'],
    ['dial tcp: lookup registry.invalid: no such host', 'unavailable'],
    ['tls: failed to verify certificate: x509: certificate signed by unknown authority', 'unavailable'],
    ['received unexpected HTTP status: 503 Service Unavailable', 'unavailable'],
    ['writing blob: write /x: no space left on device', 'resource_exhausted'],
    ['something that nobody has seen', 'internal'],
  ])('%s: is %s', (line, code) => {
    const error = pullError(parseReference('127.0.0.1:5000/a:none'), ['Trying to pull', `Error: ${line}`]);
    expect(error).toMatchObject({ code });
    expect(error.message).toContain('127.0.0.1:5000/a:none');
    expect(error.message).toContain(line);
  });
});
