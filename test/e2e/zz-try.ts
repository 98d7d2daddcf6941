import { test } from 'node:test';
import { helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { startTestNode } from '../support/node.ts';
import { anonymousMiB } from '../support/process-facts.ts';

const QUEUES = ['INGEST', 'BID', 'ADMIT', 'EXECUTE', 'WASM', 'PUBLISH'] as const;
const bounds = Object.fromEntries(QUEUES.map((name) => [`BACALHAU_LIMITS_${name}QUEUE`, '8']));
test('try', async (t) => {
  const node = await startTestNode(t, { env: process.env['B'] ? bounds : {} });
  const module = await helloModule();
  const MODE = process.env['MODE'] ?? 'mix';
  console.log('start', (await anonymousMiB(node.pid)).toFixed(0));
  for (let r = 1; r <= 7; r++) {
    const t0 = performance.now();
    await Promise.all(
      Array.from({ length: 2000 }, async (_, i) =>
        node.submit(
          MODE === 'mock' || (MODE === 'mix' && i % 2)
            ? mockJob()
            : wasmJob(module, MODE === 'nopub' ? {} : { publisher: 'local' }),
        ),
      ),
    );
    await node.waitUntil(
      async () => (await node.metrics()).get('bacalhau_jobs{state="Completed"}') === 2000 * r,
      'x',
      60000,
    );
    const s = (performance.now() - t0) / 1000;
    for (let i = 0; i < 100; i++) await node.metrics();
    const m = await node.metrics();
    console.log(
      r,
      s.toFixed(1),
      's anon',
      (await anonymousMiB(node.pid)).toFixed(0),
      'heap used',
      ((m.get('nodejs_heap_size_used_bytes') ?? 0) / 1e6).toFixed(0),
      'total',
      ((m.get('nodejs_heap_size_total_bytes') ?? 0) / 1e6).toFixed(0),
      'ext',
      ((m.get('nodejs_external_memory_bytes') ?? 0) / 1e6).toFixed(0),
    );
  }
});
