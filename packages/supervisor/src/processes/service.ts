/** ProcessService: the wire's side of processes. */
import type { ServiceImpl } from '@connectrpc/connect';
import { AtelierError } from '@atelier/api';
import {
  OutputStream,
  type ProcessService,
  type ProcessStart,
  type RunRequest,
} from '@atelier/api/atelier/process';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RunResponseSchema } from '@atelier/api/atelier/process';
import { durationMs, timestampOf } from '../wire.ts';
import type { Attachment, AttachmentEvent, SupervisedProcess } from './process.ts';
import type { ProcessTable } from './table.ts';

/** What the service needs to know of the environment. */
export interface ProcessContext {
  readonly table: ProcessTable;
  /** The environment's user, folder and variables, of the latest spec. */
  defaults(): {
    readonly user: string;
    readonly workspaceFolder: string;
    readonly environment: Readonly<Record<string, string>>;
  };
  /** A person or a client did something. */
  onInput(): void;
}

type RunResponseInit = MessageInitShape<typeof RunResponseSchema>;

const unattendedMsDefault = 60_000;

/** Serves processes of a table. */
export function processService(context: ProcessContext): ServiceImpl<typeof ProcessService> {
  return {
    run: (requests, { signal }) => run(context, requests, signal),
    listProcesses: () => ({
      processes: context.table.running().map((process) => ({
        processId: process.id,
        pid: process.pid,
        arguments: [...process.shown],
        startedAt: timestampOf(process.startedAtMs),
        terminal: process.size !== undefined,
        attachedClients: process.attachedClients,
      })),
    }),
    signalProcess(request) {
      context.onInput();
      context.table.get(request.processId).signal(request.signal);
      return {};
    },
  };
}

async function* run(
  context: ProcessContext,
  requests: AsyncIterable<RunRequest>,
  signal: AbortSignal,
): AsyncIterable<RunResponseInit> {
  const incoming = requests[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done) throw new AtelierError('invalid_argument', 'The first request must be start or attach.');
  context.onInput();
  const { process, resumed, attachment } = enter(context, first.value);
  try {
    const started = {
      processId: process.id,
      pid: process.pid,
      resumed,
      inputSequence: BigInt(process.inputSequence),
    };
    yield { message: { case: 'started', value: started } };
    take(process, attachment, incoming, signal).catch((thrown: unknown) => attachment.fail(thrown));
    for (;;) {
      const event = await attachment.next(signal);
      if (!event) return;
      yield responseOf(event);
      if (event.kind === 'exited') return;
    }
  } finally {
    attachment.detach();
  }
}

function enter(
  context: ProcessContext,
  { message }: RunRequest,
): { process: SupervisedProcess; resumed: boolean; attachment: Attachment } {
  if (message.case === 'start') {
    const started = start(context, message.value);
    const { process } = started;
    // A start whose answer was lost wants everything; what is no longer here was not lost with that answer.
    const offsets = { stdout: process.firstOffsetOf('stdout'), stderr: process.firstOffsetOf('stderr') };
    return { ...started, attachment: process.attach(offsets) };
  }
  if (message.case === 'attach') {
    const { processId, stdoutOffset, stderrOffset } = message.value;
    const process = context.table.get(processId);
    const offsets = { stdout: Number(stdoutOffset), stderr: Number(stderrOffset) };
    return { process, resumed: true, attachment: process.attach(offsets) };
  }
  throw new AtelierError('invalid_argument', 'The first request must be start or attach.');
}

function start(
  context: ProcessContext,
  wanted: ProcessStart,
): { process: SupervisedProcess; resumed: boolean } {
  const { user, workspaceFolder, environment } = context.defaults();
  const terminal = wanted.terminal && {
    columns: wanted.terminal.columns || 80,
    rows: wanted.terminal.rows || 24,
  };
  const unattendedMs = wanted.unattended
    ? durationMs(wanted.unattended)
    : terminal
      ? undefined
      : unattendedMsDefault;
  return context.table.start({
    id: wanted.processId,
    unattendedMs,
    launch: {
      arguments: wanted.arguments,
      workingDirectory: folderOf(wanted.workingDirectory, workspaceFolder),
      environment: { ...environment, ...wanted.environment },
      user: wanted.user || user,
      terminal,
    },
  });
}

/** A working directory as a client may give it: absolute, relative to the workspace folder, or empty for that. */
export function folderOf(wanted: string, workspaceFolder: string): string {
  if (wanted === '') return workspaceFolder;
  return wanted.startsWith('/') ? wanted : `${workspaceFolder.replace(/\/$/, '')}/${wanted}`;
}

/** Takes what the client sends until it stops sending; the output goes on after that. */
async function take(
  process: SupervisedProcess,
  attachment: Attachment,
  incoming: AsyncIterator<RunRequest>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const next = await incoming.next().catch((thrown: unknown) => {
      if (signal.aborted) return { done: true as const, value: undefined };
      throw thrown;
    });
    if (next.done) return;
    const { message } = next.value;
    switch (message.case) {
      case 'input': {
        const sequence = Number(message.value.sequence);
        const { data, end } = message.value;
        await process.input(sequence, data, end, () => attachment.acknowledge(sequence));
        break;
      }
      case 'resize':
        process.resize(message.value.columns, message.value.rows);
        break;
      case 'signal':
        process.signal(message.value);
        break;
      default:
        throw new AtelierError('invalid_argument', 'After the first request: input, resize or signal.');
    }
  }
}

function responseOf(event: AttachmentEvent): RunResponseInit {
  switch (event.kind) {
    case 'output': {
      const stream = event.name === 'stdout' ? OutputStream.STDOUT : OutputStream.STDERR;
      const value = { stream, offset: BigInt(event.offset), data: event.data };
      return { message: { case: 'output', value } };
    }
    case 'acknowledged':
      return { message: { case: 'inputAcknowledgement', value: { sequence: BigInt(event.sequence) } } };
    case 'exited': {
      const { exitCode, signal, failure } = event.end;
      return { message: { case: 'exited', value: { exitCode, signal, failureMessage: failure } } };
    }
  }
}
