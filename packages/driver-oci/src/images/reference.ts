/** References to images, written in as many ways as people write them, brought to one form. */
import { AtelierError } from '@atelier/api';

/** A reference in its full form. */
export interface Reference {
  /** With registry, repository and tag or digest, such as `docker.io/library/debian:12`. */
  readonly name: string;
  /** Host of the registry with its port, such as `127.0.0.1:5000`; `localhost` is this home's own images. */
  readonly registry: string;
}

const host =
  '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9-]+)*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?';
const path = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const form = new RegExp(
  `^(?:(${host})/)?(${path}(?:/${path})*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@sha256:[0-9a-f]{64})?$`,
);

/**
 * Parses a reference. What names no registry is meant for Docker Hub, what names no tag for `latest`; a digest
 * wins over a tag. Errors: `invalid_argument`.
 */
export function parseReference(written: string): Reference {
  const [matched, first, rest = '', tag = 'latest', digest] = form.exec(written) ?? [];
  if (matched === undefined || written.length > 400) {
    const message = `"${written.slice(0, 400)}" is not a reference to an image: write it as registry/repository:tag`;
    throw new AtelierError('invalid_argument', message);
  }
  const isRegistry = first !== undefined && (/[.:[]/.test(first) || first === 'localhost');
  const registry = isRegistry ? first : 'docker.io';
  const whole = isRegistry || first === undefined ? rest : `${first}/${rest}`;
  const repository = registry === 'docker.io' && !whole.includes('/') ? `library/${whole}` : whole;
  return { name: `${registry}/${repository}${digest ?? `:${tag}`}`, registry };
}

/** Whether a registry is on this machine's loopback, where plain http is as good as https. */
export function isLoopback(registry: string): boolean {
  return /^(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?$/.test(registry);
}
