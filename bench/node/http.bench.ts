import { mockJob } from '../../test/support/jobs.ts';
import type { Scope } from '../../test/support/node.ts';
import type { Bench, BenchSize, Figure } from '../support/bench.ts';
import type { BurstResult } from '../support/load-protocol.ts';
import { load, startApiServer, startBareServer } from '../support/processes.ts';
import { SERVERS } from '../support/servers.ts';
import { digits } from '../support/table.ts';

const CONNECTIONS = 64;
/** Requests of a burst for each of `--jobs`: nothing is kept, so they are quick. */
const REQUESTS_A_JOB = 10;

async function run({ jobs }: BenchSize, scope: Scope): Promise<Figure[]> {
  const figures: Figure[] = [];
  const count = jobs * REQUESTS_A_JOB;
  const body = JSON.stringify({ Job: mockJob() });
  const burst = ({ origin, pid }: { origin: string; pid: number }): Promise<BurstResult> =>
    load({
      ...{ kind: 'burst', origin, body, count, warmUp: count / 2 },
      ...{ connections: CONNECTIONS, untilCompleted: false, serverPid: pid },
    });
  const cost = ({ serverCpuMicros }: BurstResult): string => `${digits(serverCpuMicros / count)} µs`;
  for (const [kind, name] of SERVERS) {
    const server = await startApiServer(scope, kind);
    if (typeof server === 'string') {
      console.log(`SKIPPED: requests to ${name}: ${server}`);
      continue;
    }
    const bare = await burst(await startBareServer(scope));
    const result = await burst(server);
    figures.push({
      what: `${name}: PUT of a job, its answer`,
      value: count / result.answeredSeconds,
      unit: 'requests/s',
      limit: { what: 'bare node:http', value: count / bare.answeredSeconds },
      note: `CPU each: ${cost(result)}, bare ${cost(bare)}`,
    });
  }
  return figures;
}

/** Requests to both servers of the API, beside a bare one. */
export const httpBench: Bench = {
  name: 'http',
  doc: 'both servers of the API with its routes over roles that answer at once: submissions over REST',
  run,
};
