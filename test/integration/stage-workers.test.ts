import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { headerOfRead } from '../../src/core/headers.ts';
import { newExecutionId } from '../../src/core/ids.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Submission } from '../../src/core/ports.ts';
import type { AdmitInput, AdmitOutput } from '../../src/workers/admit/protocol.ts';
import type { BidInput, BidOptions, BidOutput } from '../../src/workers/bid/protocol.ts';
import { type CheckedRow, checkedJob } from '../../src/workers/ingest/protocol.ts';
import { Pool, workerUrl } from '../../src/workers/pool.ts';
import { OPTIONS as BID_OPTIONS } from '../support/bid.ts';
import { temporaryFolder } from '../support/folders.ts';
import { INGEST_OPTIONS, smallJob } from '../support/ingest.ts';
import { recordingLogger } from '../support/logs.ts';

interface Threads<In, Out> {
  readonly pool: Pool<In, Out>;
  readonly outcomes: Map<string, Outcome<Out>>;
}

/** A pool of one thread that runs the stage's real worker file. */
function threads<In, Out>(t: TestContext, stage: string, workerOptions: unknown): Threads<In, Out> {
  const outcomes = new Map<string, Outcome<Out>>();
  const pool = new Pool<In, Out>(
    {
      name: stage,
      file: workerUrl(`../../src/workers/${stage}/${stage}.worker`, import.meta.url),
      minThreads: 1,
      maxThreads: 1,
      batchesPerThread: 2,
      atomics: 'disabled',
      workerOptions,
    },
    {
      logger: recordingLogger().logger,
      listener: { onOutcome: (id, outcome) => void outcomes.set(id, outcome), onReport: () => undefined },
    },
  );
  t.after(() => pool.stop());
  return { pool, outcomes };
}

function value<T>(outcome: Outcome<T> | undefined): T {
  assert.equal(outcome?.kind, 'advance', JSON.stringify(outcome));
  if (outcome?.kind !== 'advance') throw new Error('not advanced');
  return outcome.value;
}

const submission = (body: string): Submission => ({
  body: new TextEncoder().encode(body),
  contentType: 'application/json',
  clientInstanceId: '',
  clientInstallationId: '',
});

test('a job goes through the threads of ingest, bid and admit', async (t) => {
  const ingest = threads<Submission, CheckedRow>(t, 'ingest', INGEST_OPTIONS);
  await ingest.pool.run([
    { id: 'good', input: submission(JSON.stringify(smallJob({ Engine: { Type: 'mock' } }))) },
    { id: 'bad', input: submission('{"Job": {"Type": "batch"}}') },
    { id: 'broken', input: submission('{') },
  ]);
  const bad = ingest.outcomes.get('bad');
  assert.equal(bad?.kind === 'fail' && bad.error.code, 'ValidationFailed');
  const broken = ingest.outcomes.get('broken');
  assert.equal(broken?.kind === 'fail' && broken.error.code, 'MalformedBody');
  const { header, spec } = checkedJob(value(ingest.outcomes.get('good')));
  const executionId = newExecutionId();
  const asked = { executionId, jobId: header.id, jobVersion: 1, requesterId: 'r' };

  const folder = await temporaryFolder(t);
  const options: BidOptions = {
    ...BID_OPTIONS,
    defaultResources: INGEST_OPTIONS.defaultResources,
    locality: 'local',
    minExecutionTimeoutMs: 0,
    maxExecutionTimeoutMs: Number.POSITIVE_INFINITY,
    defaultExecutionTimeoutMs: 1000,
    timeoutBypass: [],
    jobLimit: { cpu: 1, memory: 1e9, disk: 1e9, gpu: 0 },
    storages: { ...BID_OPTIONS.storages, ipfsBlocks: join(folder, 'blocks') },
  };
  const bid = threads<BidInput, BidOutput>(t, 'bid', options);
  bid.pool.control({
    kind: 'live',
    name: 'offer',
    value: { engines: ['mock'], storages: ['inline', 'urldownload'], publishers: [] },
  });
  const withTask = (task: Record<string, unknown>): Uint8Array => {
    const job = JSON.parse(new TextDecoder().decode(spec)) as { Tasks: [object] };
    return new TextEncoder().encode(JSON.stringify({ ...job, Tasks: [{ ...job.Tasks[0], ...task }] }));
  };
  const withInput = (Type: string, URL: string): Uint8Array =>
    withTask({ InputSources: [{ Source: { Type, Params: { URL } }, Alias: '', Target: '/in' }] });
  const asking = { asked, explain: false };
  await bid.pool.run([
    { id: 'plain', input: { ...asking, spec } },
    { id: 'inline', input: { ...asking, spec: withInput('inline', 'data:,twelve%20bytes') } },
    {
      id: 'url',
      input: { ...asking, spec: withInput('urlDownload', 'http://example.com/a') },
    },
    {
      id: 'other',
      input: { ...asking, spec: withTask({ Engine: { Type: 'docker', Params: { Image: 'x' } } }) },
    },
    { id: 'unread', input: { ...asking, spec: new TextEncoder().encode('{}') } },
  ]);
  const plain = value(bid.outcomes.get('plain'));
  assert.deepEqual(plain.resources, header.resources);
  assert.ok(plain.read !== undefined);
  assert.equal(headerOfRead(asked, plain.resources, plain.read).engine, 'mock');
  assert.equal(value(bid.outcomes.get('inline')).resources.disk, 12);
  const url = bid.outcomes.get('url');
  assert.match(url?.kind === 'reject' ? url.reason : '', /--job-selection-data-locality/);
  const other = bid.outcomes.get('other');
  assert.equal(other?.kind === 'reject' && other.code, 'engine');
  const unread = bid.outcomes.get('unread');
  assert.match(unread?.kind === 'reject' ? unread.reason : '', /can not read the job/);

  const admit = threads<AdmitInput, AdmitOutput>(t, 'admit', { executionsDirectory: folder });
  await admit.pool.run([
    { id: 'place', input: { kind: 'place', executionId, gpus: [2] } },
    { id: 'escape', input: { kind: 'place', executionId: '../x', gpus: [] } },
  ]);
  assert.deepEqual(value(admit.outcomes.get('place')), { directory: join(folder, executionId), gpus: [2] });
  assert.equal(admit.outcomes.get('escape')?.kind, 'fail');
});
