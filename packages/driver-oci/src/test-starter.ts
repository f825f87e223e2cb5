/** Started by a test, to be killed: opens a driver on a home, starts an environment's main instance and waits. */
import { openHome } from './home.ts';
import { openDriver } from './test-subject.ts';

const [homeFolder = '', environmentId = ''] = process.argv.slice(2);
const driver = await openDriver(openHome(homeFolder));
await driver.instances.start({
  name: `${environmentId}-main-1`,
  environmentId,
  root: { kind: 'disk', generation: 1 },
  mounts: [],
  network: 'none',
  environment: {},
  hostname: 'started',
  limits: { cpuWeight: 100, memoryBytesMax: 256 << 20, processesMax: 100 },
});
process.stdout.write('started\n');
process.stdin.resume();
await new Promise(() => {});
