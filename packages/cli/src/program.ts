/** The grammar of the command line. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext } from './context.ts';

type Action = (context: CommandContext, ...given: never[]) => Promise<number | void>;

/** Makes the program. `finish` is called with the exit code of the command that ran. */
export function createProgram(context: CommandContext, finish: (code: number) => void): Command {
  const program = new Command('atelier')
    .description('Development environments on your own machines.')
    .enablePositionalOptions()
    .showHelpAfterError('(atelier help shows how it is meant)')
    .exitOverride();
  // Every argument of a command is handed on in its order; the last two are its options and commander's own.
  const act =
    (load: () => Promise<Action>) =>
    async (...given: unknown[]): Promise<void> => {
      const action = await load();
      finish((await action(context, ...(given.slice(0, -1) as never[]))) ?? 0);
    };
  addEnvironmentCommands(program, act);
  addInsideCommands(program, act);
  addAutomationCommands(program, act);
  addMachineCommands(program, act);
  return program;
}

type Act = (load: () => Promise<Action>) => (...given: unknown[]) => Promise<void>;

function output(): Option {
  return new Option('-o, --output <format>', 'how data is printed')
    .choices(['table', 'json'])
    .default('table');
}

function addEnvironmentCommands(program: Command, act: Act): void {
  program
    .command('up [source]')
    .description('make, start or return to the environment of a folder or a repository URL')
    .option('--name <name>', 'name of the environment', parseName)
    .option('--class <class>', 'environment class, for a new one')
    .option('--rebuild', 'make the dev container anew; the repository and volumes stay')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier up .')
    .action(act(async () => (await import('./commands/up.ts')).run));
  program
    .command('ls')
    .description('list environments')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier ls -o json')
    .action(act(async () => (await import('./commands/ls.ts')).run));
  program
    .command('status [environment]')
    .description('why an environment is in its phase, and what its start took')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier status guestbook')
    .action(act(async () => (await import('./commands/status.ts')).run));
  program
    .command('stop [environment]')
    .description('end what runs; everything on disk stays')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier stop guestbook')
    .action(act(async () => (await import('./commands/stop.ts')).run));
  program
    .command('start [environment]')
    .description('start a stopped environment as it was')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier start guestbook')
    .action(act(async () => (await import('./commands/start.ts')).run));
  program
    .command('delete <environment>')
    .description('delete an environment with everything in it')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier delete guestbook')
    .action(act(async () => (await import('./commands/delete.ts')).run));
  program
    .command('events [environment]')
    .description('show changes as they happen')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier events guestbook')
    .action(act(async () => (await import('./commands/events.ts')).run));
}

function addInsideCommands(program: Command, act: Act): void {
  program
    .command('shell [environment]')
    .description('open a login shell inside')
    .addHelpText('after', '\nExample: atelier shell guestbook')
    .action(act(async () => (await import('./commands/shell.ts')).run));
  program
    .command('exec <environment> <command...>')
    .description("run a command inside; the exit code is the command's own, 255 is ours")
    .option('-t, --terminal', 'give the command a terminal')
    .passThroughOptions()
    .addHelpText('after', "\nExample: atelier exec guestbook -- sh -c 'id -u'")
    .action(act(async () => (await import('./commands/exec.ts')).run));
  program
    .command('logs [environment] [what]')
    .description('print the log of a service, of a task, or of steps of the start')
    .option('-f, --follow', 'wait for more')
    .addHelpText('after', '\nExample: atelier logs -f guestbook web')
    .action(act(async () => (await import('./commands/logs.ts')).run));
  program
    .command('forward <environment> [port...]')
    .description(
      'carry ports of an environment to this machine, as <port> or <port>:<local port>; without any, its forwardPorts',
    )
    .addOption(output())
    .addHelpText('after', '\nExample: atelier forward guestbook 8080:9090')
    .action(act(async () => (await import('./commands/forward.ts')).run));
}

function addAutomationCommands(program: Command, act: Act): void {
  const task = program.command('task').description('tasks of an environment');
  const service = program.command('service').description('services of an environment');
  for (const [noun, load] of [
    [task, () => import('./commands/task.ts')],
    [service, () => import('./commands/service.ts')],
  ] as const) {
    const name = noun.name();
    noun
      .command('list [environment]')
      .description(`list ${name}s`)
      .addOption(output())
      .addHelpText('after', `\nExample: atelier ${name} list guestbook`)
      .action(act(async () => (await load()).list));
    noun
      .command(`start <environment> <${name}>`)
      .description(`start a ${name}`)
      .addOption(output())
      .addHelpText('after', `\nExample: atelier ${name} start guestbook web`)
      .action(act(async () => (await load()).start));
    noun
      .command(`stop <environment> <${name}>`)
      .description(`stop a ${name}`)
      .addOption(output())
      .addHelpText('after', `\nExample: atelier ${name} stop guestbook web`)
      .action(act(async () => (await load()).stop));
    noun
      .command(`logs <environment> <${name}>`)
      .description(`print what a ${name} printed`)
      .option('-f, --follow', 'wait for more')
      .addHelpText('after', `\nExample: atelier ${name} logs -f guestbook web`)
      .action(
        act(async () => {
          const { run } = await import('./commands/logs.ts');
          return (
            context: CommandContext,
            environment: string,
            what: string,
            options: { follow?: boolean },
          ) => run(context, environment, `${name}/${what}`, options);
        }),
      );
  }
  service
    .command('restart <environment> <service>')
    .description('stop a service, then start it anew')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier service restart guestbook web')
    .action(act(async () => (await import('./commands/service.ts')).restart));
}

function addMachineCommands(program: Command, act: Act): void {
  program
    .command('doctor')
    .description('say whether environments can run on this machine')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier doctor')
    .action(act(async () => (await import('./commands/doctor.ts')).run));
  program
    .command('version')
    .description('print the versions of this command line and of the daemon')
    .addOption(output())
    .action(act(async () => (await import('./commands/version.ts')).run));
  addDaemonCommands(program.command('daemon').description('the process behind it all'), act);
}

function addDaemonCommands(daemon: Command, act: Act): void {
  const load = () => import('./commands/daemon.ts');
  daemon
    .command('start')
    .description('start the daemon and wait until it answers')
    .option('--plane', 'only the management plane')
    .option('--runner', 'only the runner')
    .option('--port <port>', 'port of the management plane', parsePort)
    .option('--database-url <url>', 'an external PostgreSQL instead of the embedded one', parseDatabaseUrl)
    .addOption(new Option('--driver <driver>', 'what realizes environments').choices(['oci', 'simulated']))
    .option('--inherit-host', "pass this machine's certificate authorities and proxies on to environments")
    .option('--no-inherit-host', 'do not pass them on, now and at later starts')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier daemon start')
    .action(act(async () => (await load()).start));
  daemon
    .command('stop')
    .description('stop the daemon; environments run on')
    .option('--plane', 'only the management plane')
    .option('--runner', 'only the runner')
    .addHelpText('after', '\nExample: atelier daemon stop')
    .action(act(async () => (await load()).stop));
  daemon
    .command('status')
    .description('say how the daemon is reached')
    .addOption(output())
    .addHelpText('after', '\nExample: atelier daemon status -o json')
    .action(act(async () => (await load()).status));
  daemon
    .command('logs')
    .description("print the end of the daemon's log")
    .option('-f, --follow', 'wait for more')
    .addHelpText('after', '\nExample: atelier daemon logs -f')
    .action(act(async () => (await load()).logs));
  daemon.command('serve <home> <options>', { hidden: true }).action(act(async () => (await load()).serve));
}

/** Commands take what begins like a path for a folder, so such a name could never be used. */
function parseName(text: string): string {
  if (/^[^./\s]/.test(text)) return text;
  throw new InvalidArgumentError('A name does not begin with ".", "/" or a space, and is not empty.');
}

function parseDatabaseUrl(text: string): string {
  if (/^postgres(?:ql)?:\/\/./.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError('It looks like postgresql://user@host/database.');
}

function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new InvalidArgumentError('A port is 0 to 65535.');
}
