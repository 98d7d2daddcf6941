import { test } from 'node:test';
import { startTestNode } from '../support/node.ts';
import { mockJob, wasmJob, helloModule } from '../support/jobs.ts';
const QUEUES = ['INGEST', 'BID', 'ADMIT', 'EXECUTE', 'WASM', 'PUBLISH'] as const;
const bounds = Object.fromEntries(QUEUES.map((name) => [`BACALHAU_LIMITS_${name}QUEUE`, '8']));
const N = Number(process.env['N'] ?? 200);
test('try', async (t) => {
  const node = await startTestNode(t, { env: bounds, execArgv: process.env['PROF'] ? ['--cpu-prof', '--cpu-prof-dir=/tmp/prof'] : [] });
  const module = await helloModule();
  let done = 0;
  const all = Promise.all(Array.from({ length: N }, async (_, i) => { await node.submit(i % 2 ? wasmJob(module) : mockJob()); done += 1; }));
  all.catch(() => {});
  const start = performance.now();
  for (let i = 0; i < 40; i++) {
    await new Promise((r) => setTimeout(r, 500));
    const m = await node.metrics();
    const g = (k: string) => m.get(k);
    console.log(((performance.now() - start) / 1000).toFixed(1), 'submitted', done, 'jobs', ['Pending', 'Queued', 'Running', 'Completed', 'Failed'].map((s) => s + '=' + g(`bacalhau_jobs{state="${s}"}`)).join(' '),
      'put503', g('bacalhau_http_requests_total{method="PUT",route="/api/v1/orchestrator/jobs",status="503"}'), 'refused', g('bacalhau_stage_items_refused_total{stage="ingest"}'), 'cpu', g('process_cpu_seconds_total'), 'lag', g('nodejs_eventloop_lag_p99_seconds'),
      'bids', [...m].filter(([k]) => k.startsWith('bacalhau_bids')).join(' '));
    if (g('bacalhau_jobs{state="Completed"}') === N) break;
  }
  const dbg = await node.api('GET', '/api/v1/agent/debug');
  console.log(dbg.status, JSON.stringify(dbg.body).slice(0, 1500));
  if (process.env['PROF']) await node.stop();
});
