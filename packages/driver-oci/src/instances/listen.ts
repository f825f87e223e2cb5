/**
 * The sockets that supervisors dial. Each lies in a folder of its own that its instance sees read-only, and only
 * root of that environment may connect: other users inside could pose as the supervisor otherwise.
 */
import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { AtelierError, type Clock } from '@atelier/api';
import type { Closeable, SupervisorLink } from '@atelier/driver';
import { linkOverStream } from '@atelier/driver/link';
import { namesIn } from '../host/files.ts';
import { shortName, type OciHome } from '../home.ts';

/** The folder of the socket as an instance sees it; not `/run/atelier`, which an Atelier inside has for itself. */
export const socketFolderInside = '/run/atelier-link';
/** Path of the socket as an instance sees it. */
export const socketInside = `${socketFolderInside}/supervisor.sock`;

/** Root inside may dial as fast as it likes; each link costs the runner work. */
const linkIntervalMs = 20;
/** More than one is a supervisor that dials again before we saw that its last connection broke. */
const connectionsWaitingMax = 4;

/** The listeners of one home in this process. */
export interface Listeners {
  /** See `InstanceDriver.listen`. */
  listen(name: string, onLink: (link: SupervisorLink) => void): Promise<Closeable>;
  /** Lets root of a range connect; called when the range is known and again when it may have changed. */
  admit(name: string, base: number): void;
  /** Ends the connection of an instance that is gone, and removes its socket unless somebody still listens. */
  release(name: string): void;
  /** Ends everything. */
  close(): Promise<void>;
}

interface Listener {
  readonly server: Server;
  link?: SupervisorLink | undefined;
  /** Connections before this moment are turned away. */
  nextMs: number;
}

/** The folder that an instance sees as {@link socketFolderInside}. */
export function socketFolder(home: OciHome, name: string): string {
  return join(home.runFolder, 'sockets', shortName(home, 12, name));
}

/** Makes the folder of an instance's socket. */
export function makeSocketFolder(home: OciHome, name: string): string {
  const folder = socketFolder(home, name);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return folder;
}

/** Makes the listeners of a home. `isNeeded` says whether an instance of that name is here. */
export function makeListeners(
  home: OciHome,
  clock: Clock,
  baseOf: (name: string) => number | undefined,
  isNeeded: (name: string) => boolean,
): Listeners {
  const listeners = new Map<string, Listener>();

  const end = async (name: string, listener: Listener): Promise<void> => {
    if (listeners.get(name) === listener) listeners.delete(name);
    listener.link?.close();
    const closed = once(listener.server, 'close');
    listener.server.close();
    await closed;
    // The path may be another listener's by now.
    if (listeners.has(name)) return;
    if (isNeeded(name)) rmSync(join(socketFolder(home, name), 'supervisor.sock'), { force: true });
    else removeSocketFolder(home, name);
  };

  const admit = (name: string, base: number): void => {
    if (!listeners.has(name)) return;
    const path = join(socketFolder(home, name), 'supervisor.sock');
    chownSync(path, base, base);
  };

  return {
    async listen(name, onLink) {
      const before = listeners.get(name);
      if (before !== undefined) await end(name, before);
      const listener: Listener = { server: createServer(), nextMs: 0 };
      listener.server.on('connection', (socket: Socket) => {
        if (clock.nowMs() < listener.nextMs) return void socket.destroy();
        listener.nextMs = clock.nowMs() + linkIntervalMs;
        listener.link?.close();
        const link = linkOverStream(socket);
        listener.link = link;
        onLink(link);
      });
      listeners.set(name, listener);
      await bind(listener.server, join(makeSocketFolder(home, name), 'supervisor.sock'));
      const base = baseOf(name);
      if (base !== undefined) admit(name, base);
      return { close: () => end(name, listener) };
    },
    admit,
    release(name) {
      const listener = listeners.get(name);
      if (listener === undefined) removeSocketFolder(home, name);
      else listener.link?.close();
    },
    async close() {
      await Promise.all([...listeners].map(([name, listener]) => end(name, listener)));
    },
  };
}

/** Takes the socket of an instance away, with its folder. */
export function removeSocketFolder(home: OciHome, name: string): void {
  rmSync(socketFolder(home, name), { recursive: true, force: true });
}

/** Names of the socket folders that are there, as {@link shortName} made them. */
export function socketFolderNames(home: OciHome): string[] {
  return namesIn(join(home.runFolder, 'sockets'));
}

async function bind(server: Server, path: string): Promise<void> {
  rmSync(path, { force: true });
  const listening = once(server, 'listening');
  server.listen({ path, backlog: connectionsWaitingMax });
  try {
    await listening;
  } catch (cause) {
    throw new AtelierError('internal', `listening on ${path} failed: see the cause`, { cause });
  }
  chmodSync(path, 0o600);
}
