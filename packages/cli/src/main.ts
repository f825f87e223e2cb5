/** The process: what it loads from here on is kept compiled for the next command. */
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { runCommandLine } = await import('./command-line.ts');
await runCommandLine();
