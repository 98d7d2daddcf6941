import { test } from 'node:test';
import WebSocket from 'ws';
import { helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { startTestNode } from '../support/node.ts';

const QUEUES = ['INGEST', 'BID', 'ADMIT', 'EXECUTE', 'WASM', 'PUBLISH'] as const;
const bounds = Object.fromEntries(QUEUES.map((name) => [`BACALHAU_LIMITS_${name}QUEUE`, '8']));
test('try', { timeout: 20000 }, async (t) => {
  const node = await startTestNode(t, { env: bounds, execArgv: ['--inspect=127.0.0.1:9333'] });
  const module = await helloModule();
  for (let i = 0; i < 200; i++) node.submit(i % 2 ? wasmJob(module) : mockJob()).catch(() => {});
  await new Promise((r) => setTimeout(r, 4000));
  const list = (await (await fetch('http://127.0.0.1:9333/json/list')).json()) as any;
  const ws = new WebSocket(list[0].webSocketDebuggerUrl);
  await new Promise((r) => ws.on('open', r));
  ws.on('message', (d) => {
    const m = JSON.parse(String(d));
    if (m.method === 'Debugger.paused') {
      console.log(
        m.params.callFrames
          .map(
            (f: any) =>
              f.functionName + ' ' + f.url.split('/').slice(-2).join('/') + ':' + (f.location.lineNumber + 1),
          )
          .join('\n'),
        '\n--',
      );
    }
  });

  const call = (id: number, method: string) =>
    new Promise<any>((r) => {
      const l = (d: any) => {
        const m = JSON.parse(String(d));
        if (m.id === id) {
          ws.off('message', l);
          r(m.result);
        }
      };
      ws.on('message', l);
      ws.send(JSON.stringify({ id, method }));
    });
  await call(1, 'Profiler.enable');
  await call(2, 'Profiler.start');
  await new Promise((r) => setTimeout(r, 1500));
  const { profile } = await call(3, 'Profiler.stop');
  const parent = new Map<number, any>();
  const byId = new Map<number, any>();
  for (const n of profile.nodes) {
    byId.set(n.id, n);
    for (const c of n.children ?? []) parent.set(c, n);
  }
  const self = new Map<number, number>();
  for (const s of profile.samples) self.set(s, (self.get(s) ?? 0) + 1);
  const top = [...self].sort((x, y) => y[1] - x[1]).slice(0, 6);
  for (const [id, count] of top) {
    const st: string[] = [];
    for (let n = byId.get(id); n; n = parent.get(n.id))
      st.push(
        n.callFrame.functionName +
          '@' +
          n.callFrame.url.split('/').slice(-1)[0] +
          ':' +
          (n.callFrame.lineNumber + 1),
      );
    console.log(count, st.join(' < '));
  }
  ws.terminate();
});
