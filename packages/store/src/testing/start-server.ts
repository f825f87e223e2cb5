/** A daemon that does nothing but start the embedded server and wait to be killed. Prints the server's pid. */
import { systemClock } from '@atelier/api/system';
import { startEmbeddedPostgres } from '../embedded.ts';

const { pid } = await startEmbeddedPostgres({
  folder: process.argv[2] ?? '',
  clock: systemClock,
  cacheFolder: '/var/cache/atelier',
});
process.stdout.write(`${pid}\n`);
process.stdin.resume();
systemClock.timer(60_000, () => process.exit());
