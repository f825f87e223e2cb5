/** Terminals of EnvironmentOpsService: the same processes as those of ProcessService, in another dress. */
import { create } from '@bufbuild/protobuf';
import { AtelierError } from '@atelier/api';
import {
  AttachTerminalResponseSchema,
  CreateTerminalResponseSchema,
  ListTerminalsResponseSchema,
  type AttachTerminalResponse,
  type CreateTerminalRequest,
  type CreateTerminalResponse,
  type ListTerminalsResponse,
} from '@atelier/api/supervisor/environment_ops';
import type { Attachment, SupervisedProcess } from '../processes/process.ts';
import { folderOf } from '../processes/service.ts';
import type { Supervisor } from '../supervisor.ts';
import { timestampOf } from '../wire.ts';

const annotationBytesMax = 16 * 1024;

/** The terminals of an environment. */
export class Terminals {
  readonly #supervisor: Supervisor;
  readonly #annotations = new Map<string, Record<string, string>>();
  #last = 0;

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor;
  }

  /** Starts a shell in a terminal; `failed_precondition` with the reason when it cannot start. */
  create(request: CreateTerminalRequest): CreateTerminalResponse {
    if (JSON.stringify(request.annotations).length > annotationBytesMax) {
      throw new AtelierError(
        'invalid_argument',
        `The annotations are longer than ${annotationBytesMax} bytes.`,
      );
    }
    const { user, workingDirectory, environment } = this.#supervisor.surroundings();
    const { process } = this.#supervisor.processes.start({
      id: this.#nextId(),
      unattendedMs: undefined,
      launch: {
        arguments: request.shell === '' ? [] : [request.shell],
        workingDirectory: folderOf(request.workingDirectory, workingDirectory),
        environment: { ...environment, ...request.env },
        user,
        terminal: { columns: request.initialCols || 80, rows: request.initialRows || 24 },
      },
    });
    if (process.end?.failure) {
      this.#supervisor.processes.forget(process.id);
      throw new AtelierError('failed_precondition', process.end.failure);
    }
    this.#annotations.set(process.id, request.annotations);
    return create(CreateTerminalResponseSchema, { terminalId: process.id });
  }

  /** All terminals that are open, those of ProcessService too. */
  list(): ListTerminalsResponse {
    const open = this.#supervisor.processes.running().filter((process) => process.size);
    for (const id of this.#annotations.keys()) {
      if (!open.some((process) => process.id === id)) this.#annotations.delete(id);
    }
    return create(ListTerminalsResponseSchema, {
      terminals: open.map((process) => ({
        terminalId: process.id,
        shell: process.shown[0] ?? '',
        workingDirectory: process.launch.workingDirectory,
        cols: process.size?.columns ?? 0,
        rows: process.size?.rows ?? 0,
        createdAt: timestampOf(process.startedAtMs),
        annotations: this.#annotations.get(process.id) ?? {},
      })),
    });
  }

  /** The terminal of this id. `not_found` when there is none. */
  get(id: string): SupervisedProcess {
    const process = this.#supervisor.processes.get(id);
    if (process.size) return process;
    throw new AtelierError(
      'not_found',
      `Process ${id} has no terminal. List the terminals to see their ids.`,
    );
  }

  /** What is on the terminal, then what comes, then its end. */
  async *attach(id: string, signal: AbortSignal): AsyncIterable<AttachTerminalResponse> {
    const process = this.get(id);
    const before = process.bytesOf('stdout');
    const attachment = process.attach({ stdout: process.firstOffsetOf('stdout'), stderr: 0 });
    let isReplay = true;
    try {
      const { columns: cols, rows } = process.size ?? { columns: 0, rows: 0 };
      for await (const data of outputOf(attachment, signal)) {
        // What was there before is told apart, so that a client paints it without answering its questions.
        isReplay &&= attachment.positionOf('stdout') <= before;
        yield create(AttachTerminalResponseSchema, {
          content: isReplay
            ? { case: 'replay', value: { data, cols, rows } }
            : { case: 'data', value: { data } },
        });
      }
      if (signal.aborted) return;
      const exitCode = process.end?.exitCode ?? 0;
      yield create(AttachTerminalResponseSchema, { content: { case: 'exited', value: { exitCode } } });
    } finally {
      attachment.detach();
    }
  }

  /** What comes out of the terminal, with or without what did before. */
  async *read(id: string, skipHistory: boolean, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const process = this.get(id);
    const stdout = skipHistory ? process.bytesOf('stdout') : process.firstOffsetOf('stdout');
    const attachment = process.attach({ stdout, stderr: 0 });
    try {
      yield* outputOf(attachment, signal);
    } finally {
      attachment.detach();
    }
  }

  #nextId(): string {
    this.#last += 1;
    return `terminal-${this.#supervisor.startedAtMs.toString(36)}-${this.#last}`;
  }
}

async function* outputOf(attachment: Attachment, signal: AbortSignal): AsyncIterable<Buffer> {
  for (;;) {
    const event = await attachment.next(signal);
    if (!event || event.kind === 'exited') return;
    if (event.kind === 'output') yield event.data;
  }
}
