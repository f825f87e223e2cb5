/**
 * The management plane without its port: handlers, runner link and control loops over a store. It touches
 * neither clock nor chance nor network by itself, so that a simulation runs the real thing.
 */
import { RunnerLinkService } from '@atelier/api/atelier/runner_link';
import { ResourceService } from '@atelier/api/atelier/resource';
import { EnvironmentService } from '@atelier/api/gitpod/environment';
import { EnvironmentAutomationService } from '@atelier/api/gitpod/environment_automation';
import { EventService } from '@atelier/api/gitpod/event';
import { IdentityService } from '@atelier/api/gitpod/identity';
import { RunnerService } from '@atelier/api/gitpod/runner';
import { RunnerConfigurationService } from '@atelier/api/gitpod/runner_configuration';
import type { ConnectRouter } from '@connectrpc/connect';
import { createChangeFeed } from './change-feed.ts';
import type { PlaneContext } from './context.ts';
import { createEnvironmentController } from './controllers/environment.ts';
import { serviceHandlers } from './handlers/automation.ts';
import { environmentHandlers } from './handlers/environment.ts';
import { runnerConfigurationHandlers } from './handlers/environment-class.ts';
import { eventHandlers } from './handlers/event.ts';
import { identityHandlers } from './handlers/identity.ts';
import { resourceHandlers } from './handlers/resource.ts';
import { runnerHandlers } from './handlers/runner.ts';
import { taskHandlers } from './handlers/task.ts';
import { requireRunner } from './identity/principal.ts';
import { createTokens, type Tokens } from './identity/tokens.ts';
import { createRunnerLink, type RunnerLink } from './runner-link/link.ts';

/** A plane that can be served. */
export interface Plane {
  readonly context: PlaneContext;
  readonly tokens: Tokens;
  /** The plane's end of the runner protocol. */
  readonly link: RunnerLink;
  /** Registers every service. */
  routes(router: ConnectRouter): void;
  /** Starts feed and loops. */
  start(): Promise<void>;
  /** Ends loops, watches and the links of runners; the store stays open. A second call does nothing. */
  stop(): Promise<void>;
}

/** Makes a plane over its parts. */
export function createPlane(context: PlaneContext): Plane {
  const feed = createChangeFeed(context);
  const tokens = createTokens(context);
  const link = createRunnerLink(context, feed);
  const environments = createEnvironmentController(context, feed);
  return {
    context,
    tokens,
    link,
    routes(router) {
      router.service(EnvironmentService, environmentHandlers(context));
      router.service(EnvironmentAutomationService, { ...serviceHandlers(context), ...taskHandlers(context) });
      router.service(EventService, eventHandlers(context, feed));
      router.service(IdentityService, identityHandlers(tokens));
      router.service(RunnerService, runnerHandlers(context, tokens));
      router.service(RunnerConfigurationService, runnerConfigurationHandlers(context));
      router.service(ResourceService, resourceHandlers(context, feed));
      router.service(RunnerLinkService, {
        sync: (requests, call) => link.sync(requests, requireRunner(call), call.signal),
      });
    },
    async start() {
      await link.start();
      await feed.start();
      await environments.start();
    },
    async stop() {
      await environments.stop();
      await feed.stop();
    },
  };
}
