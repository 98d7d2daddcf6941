import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BroadcastChannel, Worker } from 'node:worker_threads';
import type {
  ExecuteOptions,
  ExecuteReport,
  WasmInput,
  WasmOutput,
} from '../../../../src/workers/execute/protocol.ts';
import type { Control, ThreadOptions, Upward, WorkBatch } from '../../../../src/workers/protocol.ts';
import { wasmRequest } from '../../../support/wasm-run.ts';
import { wat } from '../../../support/wat.ts';

type Message = Upward<WasmOutput, ExecuteReport>;

/** The worker file in a thread of its own, called as a pool calls it. */
function startThread(t: TestContext): {
  run(batch: WorkBatch<WasmInput>): Promise<Message[]>;
  channel: BroadcastChannel;
  thread: Worker;
} {
  const options: Partial<ExecuteOptions> = {
    nodeId: 'node',
    maxStreamBytes: 1 << 20,
    maxResultBytes: 1 << 20,
    envAllowList: [],
    hostEnv: {},
  };
  const name = `wasm-worker-test-${process.pid}-${Math.random()}`;
  const workerData: ThreadOptions = { channel: name, options };
  const file = new URL('../../../../src/workers/execute/wasm.worker.ts', import.meta.url).href;
  const main = `
    import { parentPort } from 'node:worker_threads';
    const { default: run } = await import(${JSON.stringify(file)});
    parentPort.on('message', async (batch) => { await run(batch); parentPort.postMessage('done'); });`;
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(main)}`), { workerData });
  const channel = new BroadcastChannel(name);
  const welcome: Control = { kind: 'welcome', thread: thread.threadId, live: [] };
  t.after(async () => {
    channel.close();
    await thread.terminate();
  });
  const run = (batch: WorkBatch<WasmInput>): Promise<Message[]> =>
    new Promise((resolve, reject) => {
      const seen: Message[] = [];
      const listen = (message: Message[] | 'done'): void => {
        if (message !== 'done' && message[0]?.kind === 'ready') {
          channel.postMessage(welcome);
        } else if (message === 'done') {
          thread.off('message', listen);
          resolve(seen);
        } else {
          seen.push(...message);
        }
      };
      thread.on('message', listen);
      thread.once('error', reject);
      thread.postMessage(batch);
    });
  return { run, channel, thread };
}

async function input(t: TestContext, module: Uint8Array, claim = 0): Promise<WasmInput> {
  const request = await wasmRequest(t, { module });
  mkdirSync(join(request.placement.directory, 'results'), { recursive: true });
  const word = new Int32Array(new SharedArrayBuffer(4));
  word[0] = claim;
  return {
    header: request.header,
    spec: new TextEncoder().encode(JSON.stringify(request.spec)),
    placement: request.placement,
    gpus: [],
    inputs: request.inputs,
    claim: word,
  };
}

const short = (messages: Message[]): string[] =>
  messages.map((message) => {
    if (message.kind === 'log' || message.kind === 'question' || message.kind === 'ready')
      return message.kind;
    if (message.kind === 'report') return `${message.id} report ${message.report.kind}`;
    if (message.kind !== 'outcome') return `${message.id} ${message.kind}`;
    const { outcome } = message;
    if (outcome.kind === 'fail') return `${message.id} fail ${outcome.error.code}`;
    return `${message.id} ${outcome.kind} ${outcome.kind === 'advance' ? outcome.value.kind : ''}`;
  });

test('jobs are run one after another; one that was taken back is not started', async (t) => {
  const module = await wat('(module (func (export "_start")))');
  const broken = await wat('(module (func (export "other")))');
  const { run } = startThread(t);
  const taken = await input(t, module, 2);
  const items = [
    { id: 'a', input: await input(t, module) },
    { id: 'b', input: taken },
    { id: 'c', input: await input(t, broken) },
  ];
  assert.deepEqual(short(await run({ items })), [
    'a started',
    'a report running',
    'a advance finished',
    'b started',
    'b advance notStarted',
    'c started',
    'c report running',
    'c fail WasmInvalid',
  ]);
  assert.equal(items[0]?.input.claim[0], 1);
  assert.equal(taken.claim[0], 2);
  const results = join(items[0]?.input.placement.directory ?? '', 'results');
  assert.equal(await readFile(join(results, 'exitCode'), 'utf8'), '0');
});

test('ending the thread of an endless job leaves what it had printed', async (t) => {
  const module = await readFile(new URL('../../../support/wasm/job.wasm', import.meta.url));
  const { run, thread } = startThread(t);
  const endless = await input(t, module);
  const spec = JSON.parse(new TextDecoder().decode(endless.spec)) as {
    Tasks: [{ Engine: { Params: { Parameters: string[] } } }];
  };
  spec.Tasks[0].Engine.Params.Parameters = ['hang'];
  const printed = new Promise<void>((resolve) => {
    thread.on('message', (messages: Message[]) => {
      if (messages.some((message) => message.kind === 'report' && message.report.kind === 'output'))
        resolve();
    });
  });
  const item = { ...endless, spec: new TextEncoder().encode(JSON.stringify(spec)) };
  void run({ items: [{ id: 'a', input: item }] });
  await printed;
  await thread.terminate();
  const results = join(endless.placement.directory, 'results');
  assert.equal(await readFile(join(results, 'stdout'), 'utf8'), 'started\n');
});
