/** The rules of a home in the kernel: always those of all attachments, and of those that are being made. */
import { run } from '../host/run.ts';
import { makeSerial } from '../host/serial.ts';
import type { OciHome } from '../home.ts';
import { allAttachments, type Attachment } from './attachments.ts';
import { ruleset, type ProxyAddress } from './ruleset.ts';

/** The table is one thing, whatever environment a change is for. */
const tableKey = 'table';

/** The firewall of a home. */
export interface Firewall {
  /** Makes the rules those of the attachments that are there. */
  write(): Promise<void>;
  /** Keeps the rules of an attachment that is not there yet for as long as `work` takes. */
  whileMaking<T>(attachment: Attachment, work: () => Promise<T>): Promise<T>;
}

/** Makes the firewall of a home. */
export function makeFirewall(home: OciHome, proxies: readonly ProxyAddress[]): Firewall {
  const making = new Map<string, Attachment>();
  const inTurn = makeSerial();
  return {
    write: () =>
      inTurn(tableKey, async () => {
        const made = allAttachments(home).filter((each) => !making.has(each.environmentId));
        await run('nft', ['-f', '-'], { input: ruleset(home.short, [...made, ...making.values()], proxies) });
      }),
    async whileMaking(attachment, work) {
      making.set(attachment.environmentId, attachment);
      try {
        return await work();
      } finally {
        making.delete(attachment.environmentId);
      }
    },
  };
}
