/** Following the start of an environment to its end: progress, outcome, and what a person wants to know then. */
import { AtelierError, sleep } from '@atelier/api';
import { EnvironmentSchema, type Environment } from '@atelier/api/gitpod/environment';
import type { AtelierClient, EnvironmentView } from '@atelier/sdk';
import type { CommandContext, Format } from '../context.ts';
import { ownEnding } from '../ending.ts';
import { nameOf, phaseOf, portsOf, servicePhaseOf, warningsOf } from '../environment-facts.ts';
import { exitCodeOf } from '../exit.ts';
import { formatMessage } from '../output/message.ts';
import { formatFacts } from '../output/table.ts';
import { outcomeOf, type UpOutcome } from './outcome.ts';
import { UpProgress } from './progress.ts';

/** An environment that is on its way, and since when that matters. */
export interface Begun {
  readonly environment: Environment;
  /** Steps before this time belong to an earlier start; undefined when nothing was begun. */
  readonly sinceMs: number | undefined;
}

const triggersMsMax = 3_000;

/**
 * Begins the start of an environment, waits until it, its dev container and the automations that its start
 * triggers run or have failed, and gives the exit code. Ctrl-C ends the waiting only: what goes on, and how to
 * look at it and how to delete it, is said.
 */
export async function followStart(
  context: CommandContext,
  format: Format,
  begin: (client: AtelierClient) => Promise<Begun>,
): Promise<number> {
  const interrupted = ownEnding(context.system);
  const { signal } = interrupted;
  let goesOn = ['the daemon goes on starting without you', '  atelier daemon status'];
  try {
    const client = await orInterrupted(signal, context.connect());
    goesOn = ['an environment that was asked for goes on without you', '  atelier ls'];
    const begun = await orInterrupted(signal, begin(client));
    const name = nameOf(begun.environment);
    goesOn = [
      `environment ${name} goes on without you`,
      `  atelier status ${name}`,
      `  atelier delete ${name}`,
    ];
    return await toTheEnd(context, client, begun, { format, signal });
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
    for (const line of goesOn) context.note(line);
    return exitCodeOf('canceled');
  } finally {
    interrupted.dispose();
  }
}

/** Waits for the work or for Ctrl-C: what was asked for cannot be taken back, but nobody has to wait for it. */
function orInterrupted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const interruption = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new AtelierError('canceled', 'interrupted')));
  });
  return Promise.race([work, interruption]);
}

async function toTheEnd(
  context: CommandContext,
  client: AtelierClient,
  begun: Begun,
  { format, signal }: { readonly format: Format; readonly signal: AbortSignal },
): Promise<number> {
  let view: EnvironmentView | undefined;
  const keep = (seen: EnvironmentView): void => void (view = seen);
  const outcome = await follow(context, client, begun, keep, signal);
  context.progress.end();
  if (view) printEnd(context, view, format);
  if (outcome.kind !== 'failed') return 0;
  context.note(outcome.message);
  for (const line of outcome.advice) context.note(`  ${line}`);
  return exitCodeOf('failed_precondition');
}

async function follow(
  context: CommandContext,
  client: AtelierClient,
  { environment, sinceMs }: Begun,
  keep: (view: EnvironmentView) => void,
  signal: AbortSignal,
): Promise<UpOutcome> {
  const { clock } = context.system;
  const progress = new UpProgress(sinceMs ?? clock.nowMs());
  const onChange = (view: EnvironmentView): void => {
    keep(view);
    context.progress.update(progress.stepsOf(view, clock.nowMs()));
  };
  const onConnection = (lost: AtelierError | undefined): void =>
    context.note(lost ? 'the daemon is away: waiting for it' : 'the daemon is back');
  const settled = new AbortController();
  let outcome: UpOutcome | undefined;
  const look = (view: EnvironmentView): UpOutcome | undefined => {
    outcome = outcomeOf(view);
    if (outcome?.kind !== 'settling') return outcome;
    // Nothing was begun here, so nothing is about to be triggered.
    if (sinceMs === undefined) return { kind: 'ready' };
    void sleep(clock, triggersMsMax, signal).then(() => settled.abort());
    return undefined;
  };
  try {
    const signals = AbortSignal.any([signal, settled.signal]);
    return await client.environments.waitFor(environment.id, look, {
      onChange,
      onConnection,
      signal: signals,
    });
  } catch (thrown) {
    if (settled.signal.aborted && !signal.aborted && outcome?.kind === 'settling') return { kind: 'ready' };
    if (settled.signal.aborted && !signal.aborted) {
      return client.environments.waitFor(environment.id, (view) => finalOutcome(view), {
        onChange,
        onConnection,
        signal,
      });
    }
    throw thrown;
  }
}

function finalOutcome(view: EnvironmentView): UpOutcome | undefined {
  const outcome = outcomeOf(view);
  return outcome?.kind === 'settling' ? { kind: 'ready' } : outcome;
}

function printEnd({ out }: CommandContext, view: EnvironmentView, format: Format): void {
  const { environment } = view;
  if (!environment) return;
  if (format === 'json') return out(formatMessage(EnvironmentSchema, environment));
  const name = nameOf(environment);
  const services = [...view.services.values()]
    .map((service) => `${service.metadata?.reference ?? ''} ${servicePhaseOf(service)}`)
    .sort();
  const facts: [string, string][] = [
    ['environment', name],
    ['phase', phaseOf(environment)],
    ['services', services.join('\n')],
    ['ports', portsOf(environment).join(', ')],
    ['warnings', warningsOf(environment).join('\n')],
    ['enter', `atelier shell ${name}`],
  ];
  out(formatFacts(facts.filter(([, value]) => value !== '')));
}
