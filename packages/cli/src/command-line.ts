/** One command from its arguments to its exit code. What a command does not use is not loaded. */
import { softwareVersion } from '@atelier/api/protocol';
import { CommanderError } from 'commander';
import { createContext, tokenAdvice, type CommandContext } from './context.ts';
import { exitCodeOf, misuse, ownFailure } from './exit.ts';
import { createProgram } from './program.ts';
import { machineSystem } from './system.ts';

export { createContext, type CommandContext } from './context.ts';
export { exitCodes } from './exit.ts';

/** Runs the command that this process was started with, and ends the process. */
export async function runCommandLine(): Promise<void> {
  const context = createContext(machineSystem, softwareVersion);
  const inside = isInside(process.argv);
  // Whoever reads our output may have read enough; what runs inside is told so and ends by itself.
  process.stdout.on('error', () => (inside ? undefined : process.exit(0)));
  process.exitCode = await runCommand(context, process.argv);
  context.close();
  // What is left, such as a stdin that nobody closes, is nobody's business any more; output is written first.
  process.stdout.write('', () => process.stderr.write('', () => process.exit()));
}

/** Runs the command of these arguments, of which the first two are the program's, and gives its exit code. */
export async function runCommand(context: CommandContext, given: readonly string[]): Promise<number> {
  let exitCode = 0;
  try {
    await createProgram(context, (code) => (exitCode = code)).parseAsync(given);
    return exitCode;
  } catch (thrown) {
    // The exit codes of what runs inside are its own.
    const ownCode = (code: number): number => (isInside(given) ? ownFailure : code);
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : ownCode(misuse);
    const { toAtelierError } = await import('@atelier/api');
    const { code, message } = toAtelierError(thrown);
    context.note(`atelier: ${message}`);
    if (code === 'unauthenticated' && !message.includes(tokenAdvice)) context.note(`  ${tokenAdvice}`);
    return ownCode(exitCodeOf(code));
  }
}

function isInside(given: readonly string[]): boolean {
  return ['exec', 'shell'].includes(given[2] ?? '');
}
