/** The program inside an environment: started by the init of the bundle, it runs until SIGTERM. */
import { keepLink } from './link.ts';
import { supervisorServer } from './serve.ts';
import { Supervisor } from './supervisor.ts';
import { systemMachine, systemSocketPath } from './system.ts';

/** What a stop by signal gives the inside; whoever sends it has a deadline of its own. */
const stopGraceMs = 10_000;

const machine = systemMachine(process.argv[1] ?? '');
const supervisor = new Supervisor(machine);
const over = new AbortController();

// A full disk, a broken pipe or a bug in one request must not end everything that runs inside.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (thrown: unknown) => report(thrown));
}
process.stderr.on('error', () => {});
process.stdout.on('error', () => {});
process.on('SIGHUP', () => {});
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {
  void supervisor.shutdown(stopGraceMs).then(() => process.exit(0));
});

void keepLink(machine.clock, systemSocketPath(), supervisorServer(supervisor), over.signal);

function report(thrown: unknown): void {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  process.stderr.write(`supervisor: ${text}\n`);
}
