/**
 * The compiled form of the program: what the runtime makes of the script by running it once. It halves the time
 * until the first answer. A runtime that finds it made by another one ignores it and compiles for itself.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { clientsOf, specOf, transportOver, type TrialClients } from '../trial.ts';

/** Loads `program.js` with its compiled form if there is one; as `compile` it writes that form when told to. */
const loader = `'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');
const read = (name, encoding) => { try { return readFileSync(__dirname + name, encoding); } catch {} };
const cachedData = read('/program.cache');
const script = new Script(read('/program.js', 'latin1'), { filename: __dirname + '/program.js', cachedData });
script.runInThisContext()(require, module, exports);
if (process.argv[2] === 'compile') process.on('SIGUSR2', () => {
  writeFileSync(__dirname + '/program.cache', script.createCachedData());
  process.exit(0);
});
`;

/** Writes `supervisor.js`, the program and its compiled form into a folder. */
export async function writeScript(folder: string, text: string, nodeFlags: readonly string[]): Promise<void> {
  await writeFile(join(folder, 'program.js'), text, 'latin1');
  await writeFile(join(folder, 'supervisor.js'), loader);
  // A socket has a short path, which the folder may not have.
  const socketFolder = await mkdtemp(join(tmpdir(), 'atelier-compile-'));
  const socketPath = join(socketFolder, 'supervisor.sock');
  const server = createServer().listen(socketPath);
  await once(server, 'listening');
  const program = spawn(process.execPath, [...nodeFlags, join(folder, 'supervisor.js'), 'compile'], {
    env: { ATELIER_SOCKET: socketPath },
    stdio: 'ignore',
  });
  const ended = once(program, 'exit');
  try {
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const dialled = await Promise.race([connected, ended.then(() => undefined)]);
    if (dialled) await use(clientsOf(transportOver(dialled[0])), socketFolder);
    program.kill('SIGUSR2');
    const [code] = (await ended) as [number | null];
    if (code !== 0)
      throw new AtelierError('internal', `The supervisor could not be compiled: it ended with ${code}.`);
  } finally {
    program.kill('SIGKILL');
    server.close();
    await rm(socketFolder, { recursive: true, force: true });
  }
}

/** What every environment does in its first moments: the functions that this takes are in the compiled form. */
async function use({ supervisor, processes }: TrialClients, folder: string): Promise<void> {
  await supervisor.hello({});
  await supervisor.apply({ spec: specOf(folder, { revision: 1n, automationsSession: '1', git: true }) });
  const enough = new AbortController();
  for await (const { status } of supervisor.watchStatus({}, { signal: enough.signal })) {
    if (status?.automationsFile) break;
  }
  enough.abort();
  for (const terminal of [undefined, { columns: 80, rows: 24 }]) {
    const processId = terminal ? 'terminal' : 'pipes';
    const start = { processId, arguments: ['/bin/sh', '-c', 'cat; echo'], ...(terminal && { terminal }) };
    const requests = (async function* () {
      yield { message: { case: 'start' as const, value: start } };
      yield {
        message: { case: 'input' as const, value: { sequence: 1n, data: Buffer.from('x\n'), end: true } },
      };
    })();
    for await (const _ of processes.run(requests));
  }
}
