import type { ServerUnderTest } from '../support/server-under-test.ts';
import { apiContract } from './api.ts';
import { apiClientContract } from './api-clients.ts';
import { apiEventContract } from './api-events.ts';
import { apiServerContract } from './api-server.ts';
import { apiSocketContract } from './api-sockets.ts';
import { apiStreamContract } from './api-streams.ts';
import { apiTlsContract } from './api-tls.ts';

/** Everything that holds for every server of the API. */
export function apiSuite(server: ServerUnderTest): void {
  apiContract(server);
  apiServerContract(server);
  apiClientContract(server);
  apiSocketContract(server);
  apiStreamContract(server);
  apiEventContract(server);
  apiTlsContract(server);
}
