import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { chattyModule, wasmJob } from '../support/jobs.ts';
import { startTestNode, type TestNode } from '../support/node.ts';
import { anonymousMiB, cpuMs } from '../support/process-facts.ts';

const READERS = 100;
const LINES = 3000;
const EVERY_MS = 1;
/** Each reader has a buffer of 64 KiB, two files and a socket. */
const GROWTH_MIB = 96;

interface Reader {
  text: string;
  error: string;
  readonly closed: Promise<number>;
}

function follow(node: TestNode, path: string): Reader {
  const socket = new WebSocket(`${node.apiUrl.replace('http', 'ws')}${path}`);
  const reader: Reader = {
    text: '',
    error: '',
    closed: new Promise((resolve) => {
      socket.on('error', (error) => {
        reader.error = String(error);
      });
      socket.on('close', resolve);
    }),
  };
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as { value: { Line: string }; error?: string };
    reader.text += frame.value.Line;
    reader.error += frame.error ?? '';
  });
  return reader;
}

const expected = (from: number): string =>
  Array.from({ length: LINES - from }, (_, n) => `line ${String(from + n).padStart(6, '0')}\n`).join('');

test('100 followers of a job that prints all the time: every line once, and little memory', {
  timeout: 120_000,
}, async (t) => {
  const node = await startTestNode(t);
  const id = await node.submit(wasmJob(await chattyModule(LINES, EVERY_MS)));
  const [execution] = await node.waitUntil(async () => {
    const { state } = await node.jobState(id);
    return state === 'Running' ? await node.executions(id) : undefined;
  }, 'the job runs');
  const idleMiB = await anonymousMiB(node.pid);
  const before = await cpuMs(node.pid);
  const started = performance.now();
  const paths = [
    `/api/v1/orchestrator/jobs/${id}/logs?follow=true`,
    `/api/v1/compute/executions/${execution?.id ?? ''}/logs?follow=true`,
  ];
  const readers: Reader[] = [];
  for (let n = 0; n < READERS; n += 1) {
    readers.push(follow(node, paths[n % 2] ?? ''));
    await sleep(5);
  }
  const tail = follow(node, `${paths[0]}&tail=true`);
  const busyMiB = await anonymousMiB(node.pid);
  assert.deepEqual(new Set(await Promise.all(readers.map(({ closed }) => closed))), new Set([1000]));
  const seconds = (performance.now() - started) / 1000;
  t.diagnostic(
    `${READERS} readers of ${LINES} lines in ${seconds.toFixed(1)} s: the node took ${(((await cpuMs(node.pid)) - before) / seconds / 10).toFixed(0)} % of a core; anonymous memory ${idleMiB.toFixed(0)} → ${busyMiB.toFixed(0)} MiB`,
  );
  for (const reader of readers) {
    assert.equal(reader.error, '');
    assert.equal(reader.text, expected(0));
  }
  await tail.closed;
  const first = Number(/\d+/.exec(tail.text)?.[0]);
  assert.ok(first > 0, 'a tail has no beginning');
  assert.equal(tail.text, expected(first));
  assert.ok(busyMiB < idleMiB + GROWTH_MIB);

  await t.test('afterwards the log is there as a whole, at both places', async () => {
    assert.equal((await node.waitForJob(id)).state, 'Completed');
    for (const path of paths) {
      const reader = follow(node, path);
      assert.equal(await reader.closed, 1000);
      assert.equal(reader.error, '');
      assert.equal(reader.text.slice(0, 1000), expected(0).slice(0, 1000));
    }
    const unknown = follow(node, '/api/v1/compute/executions/e-unknown/logs');
    assert.equal(await unknown.closed, 1000);
    assert.match(unknown.error, /execution not found: e-unknown/);
  });
});
