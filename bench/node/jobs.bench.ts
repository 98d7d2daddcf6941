import { helloModule, mockJob, wasmJob } from '../../test/support/jobs.ts';
import type { Scope } from '../../test/support/node.ts';
import { sample } from '../../test/support/prometheus.ts';
import { bareWasm } from '../support/bare-wasm.ts';
import type { Bench, BenchSize, Figure } from '../support/bench.ts';
import { ASKED, bodyOf, boundOf, burst, costs, targetOf, watchPlaces } from '../support/bursts.ts';
import { measure } from '../support/micro.ts';
import { load, startBareServer } from '../support/processes.ts';
import { nodesOnServers, type ServedNode } from '../support/servers.ts';
import { subscribe } from '../support/subscribers.ts';

const BARE_WASM_LOOP = 100;
const SUBSCRIBERS = 20;

async function bareHttp(scope: Scope, body: string, count: number): Promise<Figure['limit'] & object> {
  const { answeredSeconds } = await burst(await startBareServer(scope), body, count, false);
  return { what: 'bare node:http', value: count / answeredSeconds };
}

async function bareWasmRate(module: Uint8Array, size: BenchSize): Promise<Figure['limit'] & object> {
  const run = bareWasm(module);
  const loop = (): void => {
    for (let round = 0; round < BARE_WASM_LOOP; round += 1) run();
  };
  const [figure] = await measure([{ what: 'bare', per: BARE_WASM_LOOP, run: loop }], size);
  return { what: 'bare instantiate + run, one thread', value: figure?.value ?? 0 };
}

/** Jobs while subscribers read all events over WebSockets: what is delivered, and what is left for the jobs. */
async function watched({ server, node }: ServedNode, body: string, count: number): Promise<Figure> {
  const counts = async (): Promise<{ completed: number; deliveries: number }> => {
    const metrics = await node.metrics();
    return {
      completed: sample(metrics, 'bacalhau_jobs', { state: 'Completed' }),
      deliveries: sample(metrics, 'bacalhau_event_deliveries_total', { encoding: 'json' }),
    };
  };
  const subscribers = await subscribe(node.apiUrl, SUBSCRIBERS);
  const before = await counts();
  const result = await burst(targetOf(node), body, count, true);
  const after = await counts();
  for (const { socket } of subscribers) socket.terminate();
  const each = (after.deliveries - before.deliveries) / (after.completed - before.completed);
  const rate = count / result.seconds;
  return {
    what: `${server}: events of ${count} mock jobs to ${SUBSCRIBERS} subscribers`,
    value: each * rate,
    unit: 'deliveries/s',
    note: `${rate.toFixed(0)} jobs/s, ${each.toFixed(0)} deliveries each; ${costs(result, count)}`,
  };
}

/** Jobs through a whole node, both roles, durable stores. */
export const jobsBench: Bench = {
  name: 'jobs',
  doc: 'a whole node, both roles, stores on disk, each server that loads here: jobs over REST until they are completed',
  run: async (size, scope) => {
    const module = await helloModule();
    const figures: Figure[] = [];
    const { jobs, repetitions } = size;
    const mock = bodyOf(mockJob({}, { resources: ASKED }));
    const wasm = bodyOf(wasmJob(module, { resources: ASKED }));
    const kinds = [
      ['mock jobs, submitted at once', mock, await bareHttp(scope, mock, jobs)],
      ['WASM jobs, submitted at once', wasm, await bareWasmRate(module, size)],
    ] as const;
    for await (const served of nodesOnServers(scope)) {
      const { server, node } = served;
      for (const [what, body, limit] of kinds) {
        const [result, places] = await watchPlaces(node, burst(targetOf(node), body, jobs, true));
        figures.push({
          what: `${server}: ${jobs} ${what}`,
          value: jobs / result.seconds,
          unit: 'jobs/s',
          limit,
          note: `${costs(result, jobs)}; ${boundOf(result, jobs, places)}`,
        });
      }
      const { milliseconds } = await load({
        kind: 'alone',
        origin: node.apiUrl,
        body: wasm,
        count: repetitions,
      });
      const sorted = milliseconds.toSorted((a, b) => a - b);
      const at = (share: number): number =>
        sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
      const range = `${repetitions} in a row; least ${at(0).toFixed(2)} ms, most ${at(1).toFixed(2)} ms`;
      const what = `${server}: one WASM job alone`;
      figures.push({ what: `${what}, p50`, value: at(0.5), unit: 'ms', note: range });
      figures.push({ what: `${what}, p99`, value: at(0.99), unit: 'ms', note: range });
      figures.push(await watched(served, mock, jobs));
    }
    return figures;
  },
};

/** Submissions to a node that only keeps them: what REST, ingest and the store's commit cost. */
export const submitBench: Bench = {
  name: 'submit',
  doc: 'a requester without compute nodes, its store on disk, each server that loads here: submissions over REST until they are acknowledged',
  run: async ({ jobs }, scope) => {
    const body = bodyOf(mockJob({}, { resources: ASKED }));
    const limit = await bareHttp(scope, body, jobs);
    const figures: Figure[] = [];
    for await (const { server, node } of nodesOnServers(scope, ['--node-type', 'requester'])) {
      const result = await burst(targetOf(node), body, jobs, false);
      figures.push({
        what: `${server}: ${jobs} submissions`,
        value: jobs / result.answeredSeconds,
        unit: 'jobs/s',
        limit,
        note: costs(result, jobs),
      });
    }
    return figures;
  },
};
