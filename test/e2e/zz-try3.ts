import { test } from 'node:test';
import { helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { startTestNode } from '../support/node.ts';

const QUEUES = ['INGEST', 'BID', 'ADMIT', 'EXECUTE', 'WASM', 'PUBLISH'] as const;
const bounds = Object.fromEntries(QUEUES.map((name) => [`BACALHAU_LIMITS_${name}QUEUE`, '8']));
test('try', async (t) => {
  const node = await startTestNode(t, { env: process.env['B'] ? bounds : {} });
  const module = await helloModule();
  let done = 0;
  const start = performance.now();
  const all = Promise.all(
    Array.from({ length: 2000 }, async (_, i) => {
      await node.submit(process.env['MODE'] === 'mix' && i % 2 ? wasmJob(module) : mockJob());
      done += 1;
    }),
  );
  all.catch(() => {});
  for (let i = 0; i < 100; i++) {
    await new Promise((r) => setTimeout(r, 250));
    const m = await node.metrics();
    const g = (k: string) => m.get(k);
    const dbg = (await node.api('GET', '/api/v1/agent/debug')).body as any;
    const r = (dbg.requester ?? dbg[0]?.Info?.requester)?.nodes?.[0];
    console.log(
      ((performance.now() - start) / 1000).toFixed(1),
      'submitted',
      done,
      ['Queued', 'Running', 'Completed', 'Failed']
        .map((s) => s + '=' + g(`bacalhau_jobs{state="${s}"}`))
        .join(' '),
      'cpu',
      g('process_cpu_seconds_total'),
      [...m]
        .filter(([k]) => k.startsWith('bacalhau_bids'))
        .map((x) => x.join(' ').slice(19))
        .join(' '),
      'slots',
      r?.slots,
      'held',
      r?.held,
      'inFlight',
      r?.inFlight,
      'ref',
      r?.refusals,
    );
    if (g('bacalhau_jobs{state="Completed"}') === 2000) break;
  }
});
