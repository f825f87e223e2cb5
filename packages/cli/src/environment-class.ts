/** Environment classes by the names that people give them. */
import { AtelierError } from '@atelier/api';
import { EnvironmentService } from '@atelier/api/gitpod/environment';
import type { EnvironmentClass } from '@atelier/api/gitpod/environment_class';
import type { AtelierClient } from '@atelier/sdk';

/** The class of this display name or id; `not_found` with the names that there are. */
export async function findClass(client: AtelierClient, reference: string): Promise<EnvironmentClass> {
  const { environmentClasses } = await client
    .service(EnvironmentService)
    .listEnvironmentClasses({ pagination: { pageSize: 100 }, filter: { canCreateEnvironments: true } });
  const wanted = reference.toLowerCase();
  const found = environmentClasses.find(
    ({ id, displayName }) => id === reference || displayName.toLowerCase() === wanted,
  );
  if (found) return found;
  const names = environmentClasses.map(({ displayName }) => displayName).sort();
  throw new AtelierError(
    'not_found',
    `there is no environment class ${JSON.stringify(reference)}; there are: ${names.join(', ')}`,
  );
}
