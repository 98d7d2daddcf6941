import { helloModule, mockJob, wasmJob } from '../../test/support/jobs.ts';
import { type Scope, startTestNode, type TestNode, type Wire } from '../../test/support/node.ts';
import { bareWasm } from '../support/bare-wasm.ts';
import type { Bench, BenchSize, Figure } from '../support/bench.ts';
import type { BurstResult } from '../support/load-protocol.ts';
import { measure } from '../support/micro.ts';
import { load, startBareServer } from '../support/processes.ts';

const CONNECTIONS = 64;
/** Share of a burst that runs before it, unmeasured. */
const WARM_UP_SHARE = 0.5;
const BARE_WASM_LOOP = 100;

interface Target {
  readonly origin: string;
  readonly pid: number;
}

const targetOf = (node: TestNode): Target => ({ origin: node.apiUrl, pid: node.pid });
const bodyOf = (job: Wire): string => JSON.stringify({ Job: job });

function burst(
  { origin, pid }: Target,
  body: string,
  count: number,
  untilCompleted: boolean,
): Promise<BurstResult> {
  const warmUp = Math.ceil(count * WARM_UP_SHARE);
  const measured = { count, connections: CONNECTIONS, untilCompleted, serverPid: pid };
  return load({ kind: 'burst', origin, body, warmUp, ...measured });
}

function costs(result: BurstResult, count: number): string {
  const each = (micros: number): string => `${(micros / count).toFixed(0)} µs`;
  const refused = result.refused === 0 ? '' : `, ${result.refused} times busy`;
  return `CPU each: server ${each(result.serverCpuMicros)}, load ${each(result.loadCpuMicros)}${refused}`;
}

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
  doc: 'a whole node, both roles, stores on disk: jobs over REST until they are completed',
  run: async (size, scope) => {
    const node = await startTestNode(scope);
    const module = await helloModule();
    const figures: Figure[] = [];
    const { jobs, repetitions } = size;
    const mock = bodyOf(mockJob());
    const wasm = bodyOf(wasmJob(module));
    for (const [what, body, limit] of [
      ['mock jobs, submitted at once', mock, await bareHttp(scope, mock, jobs)],
      ['WASM jobs, submitted at once', wasm, await bareWasmRate(module, size)],
    ] as const) {
      const result = await burst(targetOf(node), body, jobs, true);
      figures.push({
        what: `${jobs} ${what}`,
        value: jobs / result.seconds,
        unit: 'jobs/s',
        limit,
        note: costs(result, jobs),
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
    figures.push({ what: 'one WASM job alone, p50', value: at(0.5), unit: 'ms', note: range });
    figures.push({ what: 'one WASM job alone, p99', value: at(0.99), unit: 'ms', note: range });
    return figures;
  },
};

/** Submissions to a node that only keeps them: what REST, ingest and the store's commit cost. */
export const submitBench: Bench = {
  name: 'submit',
  doc: 'a requester without compute nodes, its store on disk: submissions over REST until they are acknowledged',
  run: async ({ jobs }, scope) => {
    const body = bodyOf(mockJob());
    const limit = await bareHttp(scope, body, jobs);
    const node = await startTestNode(scope, { flags: ['--node-type', 'requester'] });
    const result = await burst(targetOf(node), body, jobs, false);
    return [
      {
        what: `${jobs} submissions`,
        value: jobs / result.answeredSeconds,
        unit: 'jobs/s',
        limit,
        note: costs(result, jobs),
      },
    ];
  },
};
