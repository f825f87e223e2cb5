/** The port of a runner, behind which supervisors are: raw connections, both protocols, all methods and logs. */
import { generateKeyPairSync } from 'node:crypto';
import { connect } from 'node:net';
import { AtelierError } from '@atelier/api';
import { PortService } from '@atelier/api/atelier/port';
import { ProcessService } from '@atelier/api/atelier/process';
import { EnvironmentOpsService } from '@atelier/api/supervisor/environment_ops';
import { systemClock } from '@atelier/api/system';
import { openEnvironmentGateway, signAccessToken, type EnvironmentAccess } from '@atelier/gateway';
import { createRouterTransport } from '@connectrpc/connect';
import { converse } from '../connection.ts';
import { conversation, type PortShape } from '../conversation.ts';
import type { Known } from '../message.ts';
import { chance } from '../mutate.ts';
import type { Target } from '../target.ts';

const id = '0190dddd-0000-7000-8000-00000000000a';
const base = `/environments/${id}`;
const known: Known = (field, random) => {
  return field.name === 'path' && chance(random, 0.8) ? '/work' : undefined;
};
const keys = generateKeyPairSync('ed25519', {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'der' },
});
const logs = [
  'service/a',
  'a',
  '..',
  '../x',
  '%2e%2e/x',
  '%00',
  '%',
  '%ff',
  'step/content?offset=1',
  'a?offset=-1',
];
const paths = [
  base,
  '/',
  '/environments/',
  '/environments/../x',
  ...logs.map((log) => `${base}/logs/${log}`),
];
const farOff = 253_402_300_799_000;

/** The target. */
export const runnerPort: Target = {
  lanes: 8,
  make: (random) => conversation(random, shape),
  async open() {
    const gateway = await openEnvironmentGateway({
      access: environmentAccess(),
      tokenPublicKey: () => keys.publicKey,
      clock: systemClock,
      host: '127.0.0.1',
      port: 0,
    });
    const port = Number(new URL(gateway.url).port);
    return {
      run: (input) => converse(connect(port, '127.0.0.1'), input as Uint8Array),
      async check() {
        const headers = { authorization: `Bearer ${shape.tokens[0]}` };
        const response = await fetch(`${gateway.url}${base}/logs/a`, { headers });
        if (!response.ok) throw new Error(`an honest call is answered with ${response.status}`);
      },
      close: () => gateway.close(),
    };
  },
};

const claims = { environmentId: id, subjectId: id } as const;
const shape: PortShape = {
  services: [EnvironmentOpsService, ProcessService, PortService],
  paths: paths as [string, ...string[]],
  base,
  // Ed25519 signs the same in the same way, but each run has another key: an input is of one length at least.
  tokens: [
    await signAccessToken(keys.privateKey, { ...claims, scope: 'ops' }, farOff),
    await signAccessToken(keys.privateKey, { ...claims, scope: 'logs' }, farOff),
    'wrong',
    'a.b.c',
  ],
  known,
  http1: true,
};

function environmentAccess(): EnvironmentAccess {
  const transport = createRouterTransport((router) => {
    router.service(EnvironmentOpsService, {
      find: () => ({}),
      readFile: () => ({}),
      exec: () => ({ stdout: 'x' }),
    });
    router.service(ProcessService, { listProcesses: () => ({}) });
  });
  return {
    transport: () => transport,
    async *log(_id, name) {
      if (name !== 'a') throw new AtelierError('not_found', `there is no log ${name}`);
      yield Buffer.from('a line\n');
    },
    logNames: async () => ['a'],
    markActive: () => undefined,
  };
}
