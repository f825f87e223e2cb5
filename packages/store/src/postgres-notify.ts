/** Wake-ups by LISTEN: one connection, dialled again whenever it is lost. */
import { type Clock } from '@atelier/api';
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
  let client = await connect();

  async function connect(): Promise<Client> {
    const fresh = new Client({ connectionString: options.url });
    let lost = false;
    const onLost = (): void => {
      if (lost || closed) return;
      lost = true;
      options.clock.timer(redialMs, redial);
    };
    fresh.on('notification', options.wake);
    fresh.on('error', onLost);
    fresh.on('end', onLost);
    await fresh.connect();
    await fresh.query(`listen ${options.channel}`);
    return fresh;
  }

  function redial(): void {
    if (closed) return;
    connect().then(
      async (fresh) => {
        client = fresh;
        if (closed) await fresh.end();
        else options.wake();
      },
      () => options.clock.timer(redialMs, redial),
    );
  }

  return {
    async close() {
      closed = true;
      await client.end().catch(() => undefined);
    },
  };
}
