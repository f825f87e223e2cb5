/** Images from registries. */
import { AtelierError, type ErrorCode } from '@atelier/api';
import type { Progress } from '@atelier/driver';
import { isLoopback, type Reference } from './reference.ts';
import { runBuildah, type Buildah } from './storage.ts';

/** What a registry's refusal looks like in buildah's output, and what to tell the user; the first that fits. */
const refusals: [pattern: RegExp, code: ErrorCode, advice: string][] = [
  [/no space left on device/i, 'resource_exhausted', 'the disk is full: free space under ATELIER_HOME'],
  [
    /unauthorized|authentication required|access to the resource is denied|status(?: code)?:? 40[13]/i,
    'permission_denied',
    'the registry wants credentials, or has no such repository for yours: log in there with "docker login" or "buildah login" as the user of the daemon, then try again',
  ],
  [
    /toomanyrequests|too many requests/i,
    'unavailable',
    'the registry limits how often you may ask: log in there, or wait',
  ],
  [
    /no image found in (?:image index|manifest list)/i,
    'not_found',
    'the registry has it for other processor architectures only: name another image',
  ],
  [
    /manifest unknown|name unknown|repository name not known|404|not found/i,
    'not_found',
    'there is no such image: check its name and tag',
  ],
  [
    /connection refused|no such host|timeout|unreachable|dial tcp|server misbehaving|handshake|x509|certificate|EOF|connection reset|status(?: code)?:? 5\d\d/i,
    'unavailable',
    'the registry cannot be reached: check the network, proxy settings and the name of the registry',
  ],
];

/** Turns the output of a failed pull into an error that says what to do. */
export function pullError({ name, registry }: Reference, lines: readonly string[]): AtelierError {
  const words = lines.filter((line) => /error|denied|fail|unknown|refused/i.test(line)).slice(-3);
  const text = words.join('\n') || lines.slice(-3).join('\n');
  const [, code, advice] = refusals.find(([pattern]) => pattern.test(text)) ?? [
    undefined,
    'internal' as const,
    'buildah failed',
  ];
  return new AtelierError(
    code,
    `image ${name} cannot be pulled from ${registry}: ${advice}. It said: ${text}`,
  );
}

/** Pulls an image into this home's storage, with the credentials that the user's own tools have stored. */
export async function pullImage(
  buildah: Buildah,
  reference: Reference,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  progress(`pulling ${reference.name}`);
  const verify = `--tls-verify=${!isLoopback(reference.registry)}`;
  const pull = ['pull', '--signature-policy', buildah.policyFile, verify, `docker://${reference.name}`];
  const onLine = (line: string): void => progress(line);
  const { exitCode, lines } = await runBuildah(buildah, pull, { signal, onLine });
  if (exitCode !== 0) throw pullError(reference, lines);
}
