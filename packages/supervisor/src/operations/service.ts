/** EnvironmentOpsService: what the public supervisor API offers of it. The rest answers `unimplemented`. */
import type { ServiceImpl } from '@connectrpc/connect';
import { AtelierError } from '@atelier/api';
import type {
  EnvironmentOpsService,
  ExecRequest,
  ExecResponse,
} from '@atelier/api/supervisor/environment_ops';
import { ExecResponseSchema } from '@atelier/api/supervisor/environment_ops';
import { create } from '@bufbuild/protobuf';
import { collectCommand } from '../processes/command.ts';
import { folderOf } from '../processes/service.ts';
import type { Supervisor } from '../supervisor.ts';
import { resolveUser, type User } from '../users.ts';
import { findFiles, readFileOrFolder, writeFile } from './files.ts';
import { Terminals } from './terminals.ts';

const outputBytesMax = 1024 * 1024;
const timeoutSecondsDefault = 600;
const timeoutSecondsMax = 24 * 3600;

/** Serves operations on one environment. */
export function operationsService(
  supervisor: Supervisor,
): Partial<ServiceImpl<typeof EnvironmentOpsService>> {
  const terminals = new Terminals(supervisor);
  const executions = new Map<string, AbortController>();
  const input = (): void => supervisor.acted.happens();
  const pathOf = (path: string): string => folderOf(path, supervisor.surroundings().workingDirectory);
  return {
    getGitStatus: async () => {
      const status = await supervisor.readGit();
      return status ? { status } : {};
    },
    find: (request) => findFiles(pathOf(request.path), request),
    readFile: (request) => readFileOrFolder(pathOf(request.path), request),
    async writeFile(request) {
      input();
      const written = await writeFile(pathOf(request.path), request, ownerOf(supervisor));
      return { bytesWritten: BigInt(written) };
    },
    createTerminal(request) {
      input();
      return terminals.create(request);
    },
    listTerminals: () => terminals.list(),
    attachTerminal: ({ terminalId }, { signal }) => terminals.attach(terminalId, signal),
    async *readTerminal({ terminalId, skipHistory }, { signal }) {
      for await (const data of terminals.read(terminalId, skipHistory, signal)) yield { data };
    },
    async writeTerminal({ terminalId, data }) {
      await terminals.get(terminalId).write(data);
      return {};
    },
    resizeTerminal({ terminalId, cols, rows }) {
      terminals.get(terminalId).resize(cols, rows);
      return {};
    },
    closeTerminal({ terminalId }) {
      terminals.get(terminalId).signal('SIGHUP');
      return {};
    },
    exec(request, { signal }) {
      input();
      return execute(supervisor, executions, request, signal);
    },
    cancelExec({ operationId }) {
      const execution = executions.get(operationId);
      if (!execution)
        throw new AtelierError('not_found', `No execution ${JSON.stringify(operationId)} is running.`);
      execution.abort();
      return {};
    },
    listCapabilities: () => ({ capabilities: [] }),
  };
}

async function execute(
  supervisor: Supervisor,
  executions: Map<string, AbortController>,
  request: ExecRequest,
  signal: AbortSignal,
): Promise<ExecResponse> {
  const { operationId, command, timeoutSeconds } = request;
  if (supervisor.isEnding) {
    throw new AtelierError('failed_precondition', 'The environment is stopping. Start it again first.');
  }
  if (operationId !== '' && executions.has(operationId)) {
    throw new AtelierError('already_exists', `Execution ${JSON.stringify(operationId)} is running already.`);
  }
  const canceled = new AbortController();
  if (operationId !== '') executions.set(operationId, canceled);
  const execution = { command, sinceMs: supervisor.machine.clock.nowMs() };
  supervisor.executions.add(execution);
  supervisor.board.change();
  try {
    const surroundings = supervisor.surroundings();
    const workingDirectory = folderOf(request.workingDirectory, surroundings.workingDirectory);
    const seconds = Math.min(timeoutSeconds > 0 ? timeoutSeconds : timeoutSecondsDefault, timeoutSecondsMax);
    const result = await collectCommand(
      supervisor.machine,
      { ...surroundings, workingDirectory, arguments: ['/bin/sh', '-c', command] },
      {
        bytesMax: outputBytesMax,
        timeoutMs: seconds * 1000,
        signal: AbortSignal.any([signal, canceled.signal]),
      },
    );
    return create(ExecResponseSchema, {
      exitCode: result.exitCode,
      stdout: result.stdout.toString('utf8'),
      stderr: result.stderr.toString('utf8') + result.failure,
    });
  } finally {
    if (operationId !== '') executions.delete(operationId);
    supervisor.executions.delete(execution);
    supervisor.board.change();
  }
}

function ownerOf(supervisor: Supervisor): User | undefined {
  const user = resolveUser(supervisor.machine, supervisor.surroundings().user);
  return 'failure' in user ? undefined : user;
}
