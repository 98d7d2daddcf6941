import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ExecuteInput, executeInput, executeRow } from '../../../src/workers/execute/protocol.ts';
import { checkedJob, checkedRow } from '../../../src/workers/ingest/protocol.ts';
import { header, spec } from '../../support/bid.ts';
import { checked } from '../../support/requester/kit.ts';

test('a checked job is the same again after its way up, every field of it', () => {
  const job = { ...checked({}, true), warnings: ['one', 'two'] };
  // Each value its own, so that no two places can be mistaken for each other.
  const names = Object.keys(job.header) as (keyof typeof job.header)[];
  const told = Object.fromEntries(names.map((name) => [name, `value of ${name}`])) as never;
  assert.deepEqual(checkedJob(checkedRow({ ...job, header: told })), { ...job, header: told });
});

test('what a thread is to run is the same again after its way down', () => {
  const gpu = { Index: 3, Name: 'x', Vendor: 'NVIDIA', Memory: 1, PCIAddress: '' } as const;
  const input: ExecuteInput = {
    header: header({ priority: 7, engine: 'mock', publisher: 'ipfs', queueTimeoutMs: 5, fileless: true }),
    spec: spec(),
    placement: { directory: '/data/e', gpus: [3] },
    gpus: [gpu],
  };
  assert.deepEqual(executeInput(input.header.executionId, executeRow(input)), input);
});
