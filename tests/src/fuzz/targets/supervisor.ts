/**
 * The supervisor's end of its protocol, with a runner that says anything. It runs as nobody, and the commands that
 * it is given do nothing. Left out: Shutdown, after which there is nothing to fuzz, and connections to ports.
 */
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { ProcessService } from '@atelier/api/atelier/process';
import { SupervisorService } from '@atelier/api/atelier/supervisor';
import { EnvironmentOpsService } from '@atelier/api/supervisor/environment_ops';
import { Supervisor, supervisorServer, systemMachine } from '@atelier/supervisor';
import { converse } from '../connection.ts';
import { conversation, type PortShape } from '../conversation.ts';
import type { Known } from '../message.ts';
import { chance } from '../mutate.ts';
import type { Target } from '../target.ts';

const nobody = 65_534;
const folder = join(tmpdir(), `atelier-fuzz-supervisor-${process.pid}`);
const known: Known = (field, random) => {
  if (/folder$|^path$|directory$/.test(field.name)) return '/nowhere';
  if (field.name === 'command' || field.name === 'arguments') return chance(random, 0.9) ? 'true' : undefined;
  if (field.name === 'user') return String(nobody);
  return undefined;
};
const services = [EnvironmentOpsService, ProcessService, SupervisorService].map((service) => ({
  ...service,
  methods: service.methods.filter(({ name }) => name !== 'Shutdown'),
})) as unknown as PortShape['services'];
const shape: PortShape = { services, paths: ['/', '/x'], base: '', tokens: ['none'], known, http1: false };

/** The target. */
export const supervisor: Target = {
  make: (random) => conversation(random, shape),
  async open() {
    const place = mkdtempSync(`${folder}-`);
    if (process.getuid?.() === 0) {
      chownSync(place, nobody, nobody);
      process.setgroups?.([]);
      process.setgid?.(nobody);
      process.setuid?.(nobody);
    }
    process.chdir(place);
    const supervised = new Supervisor({
      ...systemMachine(import.meta.filename),
      boot: 'fuzz',
      strangers: () => [],
    });
    const serve = supervisorServer(supervised);
    return {
      async run(input) {
        const [near, far] = duplexPair();
        far.on('error', () => undefined);
        const served = serve(far);
        try {
          return await converse(near, input as Uint8Array);
        } catch (error) {
          // Its only peer encodes every message anew; what it cannot read is nobody's request.
          if (String(error).includes('parse binary: ') || String(error).includes('compressed'))
            return 'unreadable';
          throw error;
        } finally {
          far.destroy();
          await served;
        }
      },
      async close() {
        await supervised.shutdown(1000);
        rmSync(place, { recursive: true });
      },
    };
  },
};
