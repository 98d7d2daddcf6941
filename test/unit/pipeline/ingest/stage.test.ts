import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../../../../src/core/limits.ts';
import { NO_RESOURCES } from '../../../../src/core/resources.ts';
import { IngestStage } from '../../../../src/pipeline/ingest/stage.ts';
import { createMetrics } from '../../../../src/telemetry/metrics.ts';
import { mockJob } from '../../../support/jobs.ts';
import { silentLogger } from '../../../support/pipeline.ts';

const body = new TextEncoder().encode(JSON.stringify({ Job: mockJob() }));

test('checked jobs are handed on some a turn of the loop, all of them', async (t) => {
  const ingest = new IngestStage(
    {
      limits,
      threads: 1,
      ingest: {
        nodeId: 'node',
        instanceId: '',
        defaultPublisher: '',
        defaultResources: NO_RESOURCES,
        bodyBytes: limits.bodyBytes,
      },
    },
    {
      logger: silentLogger,
      metrics: createMetrics({ version: 'test', processMetrics: false }),
      onFatal: (error) => assert.fail(error),
    },
  );
  t.after(() => ingest.stop());
  let thisTurn = 0;
  let most = 0;
  let handed = 0;
  const count = (): void => {
    if (thisTurn === 0) {
      setImmediate(() => {
        most = Math.max(most, thisTurn);
        thisTurn = 0;
      });
    }
    thisTurn += 1;
    handed += 1;
  };
  const plain = { contentType: 'application/json', clientInstanceId: '', clientInstallationId: '' };
  const submitted = Array.from({ length: 200 }, () => ingest.check({ body, ...plain }).then(count));
  await Promise.all(submitted);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(handed, 200);
  // 16 a turn, and this count may take two turns together; a batch from the thread has up to 64.
  assert.ok(most > 1 && most <= 32, `${most} in one turn`);
});
