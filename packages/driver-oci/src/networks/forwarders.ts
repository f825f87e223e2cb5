/** The forwarders for names that run in this process, one per attachment. */
import type { Clock } from '@atelier/api';
import type { Attachment } from './attachments.ts';
import { hostResolvers, startForwarder, type Forwarder } from './resolver.ts';

const namePort = 53;

/** The forwarders of a home. */
export interface Forwarders {
  /** Answers questions on an attachment; nothing changes when it does already. */
  start(attachment: Attachment): Promise<void>;
  stop(environmentId: string): Promise<void>;
  close(): Promise<void>;
}

/** Makes the forwarders of a home, of which none runs yet. */
export function makeForwarders(clock: Clock): Forwarders {
  const running = new Map<string, Forwarder>();
  const stop = async (environmentId: string): Promise<void> => {
    const forwarder = running.get(environmentId);
    running.delete(environmentId);
    await forwarder?.close();
  };
  return {
    async start({ environmentId, gateway }) {
      if (running.has(environmentId)) return;
      const ports = { port: namePort, resolverPort: namePort };
      running.set(
        environmentId,
        await startForwarder({ address: gateway, clock, resolvers: hostResolvers, ...ports }),
      );
    },
    stop,
    close: async () => void (await Promise.all([...running.keys()].map(stop))),
  };
}
