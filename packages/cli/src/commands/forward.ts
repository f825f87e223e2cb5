/** `atelier forward`: ports of an environment on this machine's loopback, until Ctrl-C. */
import { once } from 'node:events';
import { AtelierError, toAtelierError } from '@atelier/api';
import type { Environment } from '@atelier/api/gitpod/environment';
import { forwardPort, type ForwardedPort } from '@atelier/sdk';
import type { CommandContext, Format } from '../context.ts';
import { ownEnding } from '../ending.ts';
import { nameOf } from '../environment-facts.ts';
import { findEnvironment } from '../environment-reference.ts';
import { formatJson } from '../output/json.ts';

/**
 * Runs the command until it is ended. Each port is `port` or `port:local`; local 0 takes any free port. Without
 * any, those are forwarded that the dev container's configuration names.
 */
export async function run(
  context: CommandContext,
  reference: string,
  ports: readonly string[],
  options: { readonly output: Format },
): Promise<number> {
  const asked = ports.map(parsePorts);
  const client = await context.connect();
  const environment = await findEnvironment(context, client, reference);
  await client.access(environment.id).open();
  const pairs = asked.length > 0 ? asked : configuredPorts(environment);
  const ending = ownEnding(context.system);
  const forwarded: ForwardedPort[] = [];
  try {
    for (const { port, localPort } of pairs) {
      const onError = ({ message }: AtelierError): void => context.note(`port ${port}: ${message}`);
      const wanted = { port, localPort, onError };
      const open = await forwardPort(client, environment.id, wanted).catch((thrown: unknown) => {
        // Nobody said which local port it has to be.
        if (asked.length > 0 || toAtelierError(thrown).code !== 'failed_precondition') throw thrown;
        return forwardPort(client, environment.id, { ...wanted, localPort: 0 });
      });
      forwarded.push(open);
      const address = `${open.host}:${open.localPort}`;
      context.note(`forwarding ${address} to port ${port} of ${nameOf(environment)}`);
      if (options.output === 'json')
        context.out(formatJson({ port, host: open.host, localPort: open.localPort }));
      else context.out(`${address}\n`);
    }
    if (!ending.signal.aborted) await once(ending.signal, 'abort');
    return 0;
  } finally {
    await Promise.all(forwarded.map((open) => open.close()));
    ending.dispose();
  }
}

/** The ports that `forwardPorts` of the configuration names, on the same local ones; an error when there is none. */
export function configuredPorts(environment: Environment): readonly PortPair[] {
  const ports = environment.status?.detail?.forwardPorts ?? [];
  if (ports.length > 0) return ports.map((port) => ({ port, localPort: port }));
  const name = nameOf(environment);
  throw new AtelierError(
    'invalid_argument',
    `the configuration of ${name} has no forwardPorts: say which port, such as "atelier forward ${name} 8080"`,
  );
}

interface PortPair {
  readonly port: number;
  readonly localPort: number;
}

/** Reads `port` or `port:local`; `invalid_argument` otherwise. */
export function parsePorts(text: string): PortPair {
  const match = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[1]);
  const localPort = Number(match?.[2] ?? match?.[1]);
  if (match && port >= 1 && port <= 65_535 && localPort <= 65_535) return { port, localPort };
  throw new AtelierError(
    'invalid_argument',
    `${JSON.stringify(text)} is no port: write 8080, or 8080:9090 for local port 9090`,
  );
}
