import { test } from 'node:test';
import WebSocket from 'ws';
import { startTestNode } from '../support/node.ts';
import { mockJob, wasmJob, helloModule } from '../support/jobs.ts';
const QUEUES = ['INGEST', 'BID', 'ADMIT', 'EXECUTE', 'WASM', 'PUBLISH'] as const;
const bounds = Object.fromEntries(QUEUES.map((name) => [`BACALHAU_LIMITS_${name}QUEUE`, '8']));
test('try', { timeout: 20000 }, async (t) => {
  const node = await startTestNode(t, { env: bounds, execArgv: ['--inspect=127.0.0.1:9333'] });
  const module = await helloModule();
  for (let i = 0; i < 200; i++) node.submit(i % 2 ? wasmJob(module) : mockJob()).catch(() => {});
  await new Promise((r) => setTimeout(r, 4000));
  const list = await (await fetch('http://127.0.0.1:9333/json/list')).json() as any;
  const ws = new WebSocket(list[0].webSocketDebuggerUrl);
  await new Promise((r) => ws.on('open', r));
  ws.on('message', (d) => {
    const m = JSON.parse(String(d));
    if (m.method === 'Debugger.paused') { console.log(m.params.callFrames.map((f: any) => f.functionName + ' ' + f.url.split('/').slice(-2).join('/') + ':' + (f.location.lineNumber + 1)).join('\n'), '\n--'); }
  });
  ws.send(JSON.stringify({ id: 1, method: 'Debugger.enable' }));
  for (let k = 0; k < 4; k++) {
    ws.send(JSON.stringify({ id: 10 + k, method: 'Debugger.pause' }));
    await new Promise((r) => setTimeout(r, 500));
    ws.send(JSON.stringify({ id: 20 + k, method: 'Debugger.resume' }));
    await new Promise((r) => setTimeout(r, 100));
  }
  ws.terminate();
});
