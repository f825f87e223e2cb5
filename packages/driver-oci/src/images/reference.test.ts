import { describe, expect, it } from 'vitest';
import { isLoopback, parseReference } from './reference.ts';

describe('a reference', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  it.each([
    ['debian', 'docker.io/library/debian:latest', 'docker.io'],
    ['debian:12', 'docker.io/library/debian:12', 'docker.io'],
    ['user/tool', 'docker.io/user/tool:latest', 'docker.io'],
    [
      'mcr.microsoft.com/devcontainers/base:bookworm',
      'mcr.microsoft.com/devcontainers/base:bookworm',
      'mcr.microsoft.com',
    ],
    ['127.0.0.1:5000/a/b', '127.0.0.1:5000/a/b:latest', '127.0.0.1:5000'],
    ['[::1]:5000/a', '[::1]:5000/a:latest', '[::1]:5000'],
    ['localhost/atelier/base', 'localhost/atelier/base:latest', 'localhost'],
    ['localhost:5000/a', 'localhost:5000/a:latest', 'localhost:5000'],
    [`debian@${digest}`, `docker.io/library/debian@${digest}`, 'docker.io'],
    [`debian:12@${digest}`, `docker.io/library/debian@${digest}`, 'docker.io'],
  ])('%s means %s', (written, name, registry) => {
    expect(parseReference(written)).toEqual({ name, registry });
  });

  it.each([
    ['Not A Reference!'],
    [''],
    ['Debian'],
    ['dir:/etc'],
    ['docker://debian'],
    ['containers-storage:[overlay@/var/lib/x]debian'],
    ['debian@sha256:abc'],
    ['../debian'],
    [`a${'a'.repeat(500)}`],
  ])('%j is refused', (written) => {
    expect(() => parseReference(written)).toThrowError(/not a reference/);
  });

  it('has a registry on loopback or not', () => {
    for (const registry of ['localhost:5000', '127.0.0.1:80', '127.1.2.3', '[::1]:5000']) {
      expect(isLoopback(registry)).toBe(true);
    }
    for (const registry of ['docker.io', '127.0.0.1.example.com', 'localhost.example.com:5000', '10.0.0.1']) {
      expect(isLoopback(registry)).toBe(false);
    }
  });
});
