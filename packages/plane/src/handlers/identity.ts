/** gitpod.v1.IdentityService. */
import type { ServiceImpl } from '@connectrpc/connect';
import type { IdentityService } from '@atelier/api/gitpod/identity';
import { AtelierError } from '@atelier/api';
import { principalKey } from '../identity/principal.ts';
import type { Tokens } from '../identity/tokens.ts';
import { subjectOf } from './automation.ts';

/** The service on a plane. */
export function identityHandlers(tokens: Tokens): Partial<ServiceImpl<typeof IdentityService>> {
  return {
    async getAuthenticatedIdentity(_request, context) {
      const principal = context.values.get(principalKey);
      if (!principal) throw new AtelierError('unauthenticated', 'nobody is signed in');
      return {
        subject: subjectOf(principal),
        organizationId: principal.organizationId,
        organizationTier: 'self-hosted',
      };
    },
    async exchangeToken(request) {
      if (request.exchangeToken === '') throw new AtelierError('invalid_argument', 'exchange_token is empty');
      return { accessToken: await tokens.exchange(request.exchangeToken) };
    },
  };
}
