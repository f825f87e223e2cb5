/** Who calls: every call carries one. */
import { AtelierError } from '@atelier/api';
import { createContextKey, type HandlerContext } from '@connectrpc/connect';

/** The caller of a method. */
export interface Principal {
  readonly kind: 'user' | 'runner';
  /** Id of the user or the runner. */
  readonly id: string;
  readonly organizationId: string;
}

/** Where a handler finds its caller. */
export const principalKey = createContextKey<Principal | undefined>(undefined, { description: 'who calls' });

/** The user who calls; `permission_denied` for a runner. */
export function requireUser(context: HandlerContext): Principal {
  const principal = context.values.get(principalKey);
  if (principal?.kind === 'user') return principal;
  throw new AtelierError('permission_denied', 'this method is for users; come with a personal access token');
}

/** The runner that calls; `permission_denied` for a user. */
export function requireRunner(context: HandlerContext): Principal {
  const principal = context.values.get(principalKey);
  if (principal?.kind === 'runner') return principal;
  throw new AtelierError('permission_denied', 'this method is for runners; come with a runner token');
}
