/** The command line: which commands there are. Each is loaded when it is used. */
import { enableCompileCache } from 'node:module';
import { softwareVersion, toAtelierError } from '@atelier/api';
import { CommanderError } from 'commander';
import { createContext } from './context.ts';
import { exitCodeOf, ownFailure } from './exit.ts';
import { createProgram } from './program.ts';
import { machineSystem } from './system.ts';

enableCompileCache();
const context = createContext(machineSystem, softwareVersion);
const isCommandInside = ['exec', 'shell'].includes(process.argv[2] ?? '');
// Whoever reads our output may have read enough.
process.stdout.on('error', () => process.exit(0));

process.exitCode = await run();
context.close();
// What is left, such as a stdin that nobody closes, is nobody's business any more; output is written first.
process.stdout.write('', () => process.stderr.write('', () => process.exit()));

async function run(): Promise<number> {
  let exitCode = 0;
  try {
    const program = createProgram(context, (code) => (exitCode = code));
    await program.parseAsync(process.argv);
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : ownCode(2);
    const error = toAtelierError(thrown);
    context.note(`atelier: ${error.message}`);
    if (context.system.variable('ATELIER_DEBUG') && error.stack) context.note(error.stack);
    return ownCode(exitCodeOf(error));
  }
}

/** The exit codes of `exec` and `shell` belong to what runs inside. */
function ownCode(code: number): number {
  return isCommandInside ? ownFailure : code;
}
