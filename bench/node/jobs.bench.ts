import { helloModule, mockJob, wasmJob } from '../../test/support/jobs.ts';
import type { Scope } from '../../test/support/node.ts';
import { bareWasm } from '../support/bare-wasm.ts';
import type { Bench, BenchSize, Figure } from '../support/bench.ts';
import { ASKED, bodyOf, boundOf, burst, costs, targetOf, watchPlaces } from '../support/bursts.ts';
import { measure } from '../support/micro.ts';
import { load, startBareServer } from '../support/processes.ts';
import { nodesOnServers } from '../support/servers.ts';

const BARE_WASM_LOOP = 100;

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
    for await (const { server, node } of nodesOnServers(scope)) {
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
