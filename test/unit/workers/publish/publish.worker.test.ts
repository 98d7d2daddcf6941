import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Outcome } from '../../../../src/core/outcome.ts';
import { createLogger } from '../../../../src/telemetry/logger.ts';
import { Pool } from '../../../../src/workers/pool.ts';
import type { Question } from '../../../../src/workers/protocol.ts';
import type {
  PublishInput,
  PublishOptions,
  PublishOutput,
} from '../../../../src/workers/publish/protocol.ts';
import { temporaryFolder, writeTree } from '../../../support/folders.ts';
import { executionHeader } from '../../../support/publishing.ts';

interface Stage {
  readonly archives: string;
  readonly questions: Question[];
  /** Publishes one execution's results and answers the outcome. */
  publish(id: string, type: string): Promise<Outcome<PublishOutput>>;
  readonly pool: Pool<PublishInput, PublishOutput>;
}

async function stage(t: TestContext, ipfsConnect = ''): Promise<Stage> {
  const folder = await temporaryFolder(t);
  const archives = join(folder, 'archives');
  const options: PublishOptions = {
    archivesDirectory: archives,
    archivesUrl: 'http://node/results',
    storages: {
      ipfsConnect,
      ipfsAuthorization: '',
      ipfsBlocks: join(folder, 'blocks'),
      allowListedLocalPaths: [],
      urlAllowList: [],
      urlTimeoutMs: 1000,
      urlRetries: 0,
    },
  };
  const questions: Question[] = [];
  const outcomes = new Map<string, (outcome: Outcome<PublishOutput>) => void>();
  const pool = new Pool<PublishInput, PublishOutput>(
    {
      name: 'publish-test',
      file: new URL('../../../../src/workers/publish/publish.worker.ts', import.meta.url),
      minThreads: 1,
      maxThreads: 1,
      batchesPerThread: 4,
      atomics: 'disabled',
      workerOptions: options,
    },
    {
      logger: createLogger({ level: 'silent', mode: 'json', colour: false }),
      listener: {
        onOutcome: (id, outcome) => outcomes.get(id)?.(outcome),
        onReport: () => undefined,
        onQuestion: (question) => {
          questions.push(question);
          return Promise.resolve(null);
        },
      },
    },
  );
  t.after(() => pool.stop());
  const resultsDirectory = join(folder, 'results');
  await writeTree(resultsDirectory, { stdout: 'x', stderr: '', exitCode: '0' });
  return {
    archives,
    questions,
    pool,
    publish: (id, type) =>
      new Promise((resolve, reject) => {
        outcomes.set(id, resolve);
        const input = { header: executionHeader(id), publisher: { Type: type }, resultsDirectory };
        pool.run([{ id, input }]).catch(reject);
      }),
  };
}

test('results are published in a thread, by the publisher the job names', async (t) => {
  const { publish, archives, questions } = await stage(t);
  assert.deepEqual(await publish('e-1', 'Local'), {
    kind: 'advance',
    value: { published: { Type: 'urlDownload', Params: { URL: 'http://node/results/e-1.tar.gz' } } },
  });
  assert.deepEqual(await readdir(archives), ['e-1.tar.gz']);
  const ipfs = await publish('e-2', 'IPFS');
  assert.ok(ipfs.kind === 'advance' && ipfs.value.published.Type === 'ipfs', JSON.stringify(ipfs));
  // The main thread's bitswap is told of the new root.
  assert.deepEqual(questions, [{ kind: 'ipfs-want', cid: ipfs.value.published.Params?.['CID'] }]);
});

test('no publisher, and the one that does nothing', async (t) => {
  const { publish } = await stage(t);
  const nothing = { kind: 'advance', value: { published: { Type: '' } } };
  assert.deepEqual(await publish('e-1', ''), nothing);
  assert.deepEqual(await publish('e-2', 'noop'), nothing);
});

test('an unknown publisher and a broken one fail with a code', async (t) => {
  const { publish } = await stage(t, '/ip4/127.0.0.1/tcp/1');
  for (const type of ['s4', 'ipfs']) {
    const outcome = await publish(`e-${type}`, type);
    assert.ok(outcome.kind === 'fail' && outcome.error.code === 'PublishFailed', JSON.stringify(outcome));
  }
});

test('a kill ends a publication that hangs', { timeout: 20_000 }, async (t) => {
  const { promise: reached, resolve: onRequest } = Promise.withResolvers<void>();
  const silent = createServer(() => onRequest());
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const { port } = silent.address() as { port: number };
  const { publish, pool } = await stage(t, `http://127.0.0.1:${port}`);
  const cancelled = publish('e-1', 'ipfs');
  const timedOut = publish('e-2', 'ipfs');
  await reached;
  pool.control({ kind: 'kill', id: 'e-1', why: 'cancelled', cause: 'the owner stopped the job' });
  assert.deepEqual(await cancelled, { kind: 'cancelled', reason: 'the owner stopped the job' });
  pool.control({ kind: 'kill', id: 'e-2', why: 'timeout', cause: 'took too long' });
  assert.deepEqual(await timedOut, {
    kind: 'fail',
    error: { code: 'ExecutionTimedOut', message: 'took too long' },
  });
});
