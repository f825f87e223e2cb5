/** Wake-ups by LISTEN: one connection, dialled again whenever it is lost. */
import type { Clock } from '@atelier/api';
import { Client } from 'pg';

/** What a subscription needs. */
export interface SubscribeOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly channel: string;
  readonly wake: () => void;
}

const redialMs = 1000;

/** Listens until closed. The first connection must come up; later losses are mended with a wake-up after. */
export async function subscribeToChanges(options: SubscribeOptions): Promise<{ close(): Promise<void> }> {
  let closed = false;
  let client = await connect(options, onLost);

  function onLost(): void {
    if (!closed) options.clock.timer(redialMs, () => void redial());
  }

  async function redial(): Promise<void> {
    if (closed) return;
    try {
      client = await connect(options, onLost);
    } catch {
      onLost();
      return;
    }
    if (closed) await client.end().catch(() => undefined);
    else options.wake();
  }

  return {
    async close() {
      closed = true;
      await client.end().catch(() => undefined);
    },
  };
}

/** One connection that listens. `onLost` is told once, and only of a connection that had come up. */
async function connect(options: SubscribeOptions, onLost: () => void): Promise<Client> {
  const client = new Client({ connectionString: options.url, keepAlive: true });
  client.on('notification', options.wake);
  // What is wrong shows in the end of the connection, which always follows.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(`listen ${options.channel}`);
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
  client.once('end', onLost);
  return client;
}
