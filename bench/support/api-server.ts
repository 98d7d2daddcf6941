/** A process that has the API's server and its routes, over roles that answer at once, and no more. */
import { withVariable } from '../../src/config/environment.ts';
import { serverOptions } from '../../src/net/api/api.ts';
import { createRoutes } from '../../src/net/api/routes.ts';
import { chooseServer } from '../../src/net/api/server.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import {
  apiOptions,
  ScriptedIngest,
  ScriptedNode,
  ScriptedRequester,
  silent,
} from '../../test/support/api-doubles.ts';

const kind = process.argv[2] === 'uws' ? 'uws' : 'node';
const { create, fallback } = chooseServer(kind === 'uws' ? 'auto' : kind, withVariable);
if (fallback !== '') console.log(fallback);
else {
  /** Keeps nothing of what it is given. */
  class Ingest extends ScriptedIngest {
    override submit(): Promise<typeof this.result> {
      return Promise.resolve(this.result);
    }
  }
  const roles = { requester: new ScriptedRequester(), ingest: new Ingest(), node: new ScriptedNode() };
  const server = create(serverOptions(apiOptions), {
    routes: createRoutes(apiOptions, { ...roles, logger: silent }),
    logger: silent,
    metrics: createMetrics({ version: 'bench', processMetrics: false }),
  });
  console.log((await server.listen('127.0.0.1', 0)).port);
}
