import { SupervisorService } from '@atelier/api/atelier/supervisor';
import { supervisorProtocolVersion } from '@atelier/api';
import { Code, createClient } from '@connectrpc/connect';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Driver } from '../driver.ts';
import type { SupervisorLink } from '../instance.ts';
import { freshId, madeDisk, mainStart, type DriverSubject } from './subject.ts';

/** What the cases about links share with the suite that they are a part of; read when a case runs. */
export interface LinkSetting {
  subject(): DriverSubject;
  driver(): Driver;
  reopen(): Promise<void>;
  /** An environment with a disk and a root layer of generation 1. */
  environmentId(): string;
}

const waiting = { timeout: 20_000, interval: 10 };

/** Waits until at least `count` links have arrived and gives the newest. */
async function newest(links: readonly SupervisorLink[], count: number): Promise<SupervisorLink> {
  await vi.waitFor(() => expect(links.length).toBeGreaterThanOrEqual(count), waiting);
  const link = links.at(-1);
  expect(link).toBeDefined();
  return link as SupervisorLink;
}

/** Asks the supervisor behind a link which run of PID 1 it is. */
async function bootOf(link: SupervisorLink): Promise<string> {
  const client = createClient(SupervisorService, link.transport);
  return (await client.hello({ protocolVersion: supervisorProtocolVersion }, { timeoutMs: 10_000 })).boot;
}

/** The cases of the instance suite about `listen`: they need a supervisor as PID 1. */
export function linkCases(setting: LinkSetting): void {
  describe('listen', () => {
    let links: SupervisorLink[];
    let id: string;
    let main: string;
    const onLink = (link: SupervisorLink): void => {
      links.push(link);
    };

    beforeEach(({ skip }) => {
      skip(!setting.subject().supervisorPresent, 'no supervisor in the instances of this subject');
      links = [];
      id = setting.environmentId();
      main = mainStart(id).name;
    });

    it('before start gives the link of the supervisor, which says its boot', async () => {
      const listening = await setting.driver().instances.listen(main, onLink);
      await setting.driver().instances.start(mainStart(id));
      expect(await bootOf(await newest(links, 1))).toBe(`boot-${id}`);
      await listening.close();
    });

    it('after start gives it too', async () => {
      await setting.driver().instances.start(mainStart(id));
      const listening = await setting.driver().instances.listen(main, onLink);
      expect(await bootOf(await newest(links, 1))).toBe(`boot-${id}`);
      await listening.close();
    });

    it('gives another link after one was closed', async () => {
      await setting.driver().instances.start(mainStart(id));
      const listening = await setting.driver().instances.listen(main, onLink);
      const first = await newest(links, 1);
      first.close();
      await first.closed;
      expect(await bootOf(await newest(links, 2))).toBe(`boot-${id}`);
      await listening.close();
    });

    it('refuses calls on a link that was closed with unavailable', async () => {
      await setting.driver().instances.start(mainStart(id));
      const listening = await setting.driver().instances.listen(main, onLink);
      const first = await newest(links, 1);
      first.close();
      await first.closed;
      await expect(bootOf(first)).rejects.toMatchObject({ code: Code.Unavailable });
      await listening.close();
    });

    it('in a driver that was opened anew gives a link to the same run of PID 1', async () => {
      await setting.driver().instances.start(mainStart(id));
      await setting.driver().instances.listen(main, onLink);
      const first = await newest(links, 1);
      await setting.reopen();
      await first.closed;
      const listening = await setting.driver().instances.listen(main, onLink);
      expect(await bootOf(await newest(links, 2))).toBe(`boot-${id}`);
      await listening.close();
    });

    it('tells that the link is gone when the instance is', async () => {
      const listening = await setting.driver().instances.listen(main, onLink);
      await setting.driver().instances.start(mainStart(id));
      const link = await newest(links, 1);
      await setting.driver().instances.remove(main);
      await link.closed;
      await listening.close();
    });

    it('gives the link of the next run under the same name', async () => {
      const listening = await setting.driver().instances.listen(main, onLink);
      await setting.driver().instances.start(mainStart(id));
      const first = await newest(links, 1);
      await setting.driver().instances.stop(main, 5000);
      await first.closed;
      await setting.driver().instances.start(mainStart(id, { environment: { ATELIER_BOOT: 'next' } }));
      expect(await bootOf(await newest(links, 2))).toBe('next');
      await listening.close();
    });

    it('gives each instance its own link', async () => {
      const other = await madeDisk(setting.subject(), setting.driver());
      const otherLinks: SupervisorLink[] = [];
      const listening = await setting.driver().instances.listen(main, onLink);
      const otherListening = await setting
        .driver()
        .instances.listen(mainStart(other).name, (link) => void otherLinks.push(link));
      await setting.driver().instances.start(mainStart(id));
      await setting.driver().instances.start(mainStart(other));
      expect(await bootOf(await newest(links, 1))).toBe(`boot-${id}`);
      expect(await bootOf(await newest(otherLinks, 1))).toBe(`boot-${other}`);
      await Promise.all([listening.close(), otherListening.close()]);
    });

    it('that was given up gives no link any more, and can be taken up again', async () => {
      const listening = await setting.driver().instances.listen(main, onLink);
      await listening.close();
      await setting.driver().instances.start(mainStart(id));
      const again = await setting.driver().instances.listen(main, onLink);
      expect(await bootOf(await newest(links, 1))).toBe(`boot-${id}`);
      await again.close();
    });

    it('to an instance that never starts is given up with success', async () => {
      const listening = await setting.driver().instances.listen(`${freshId()}-main-1`, onLink);
      await listening.close();
      expect(links).toEqual([]);
    });
  });
}
