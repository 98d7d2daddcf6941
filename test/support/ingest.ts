import assert from 'node:assert/strict';
import { NodeError } from '../../src/core/errors.ts';
import type { JobSpec } from '../../src/core/job.ts';
import type { CheckedJob } from '../../src/core/ports.ts';
import { Ingest } from '../../src/workers/ingest/ingest.ts';
import type { IngestOptions } from '../../src/workers/ingest/protocol.ts';

export const INGEST_OPTIONS: IngestOptions = {
  bodyBytes: 10_485_760,
  nodeId: '12D3KooWTestNode',
  instanceId: 'server-instance',
  defaultPublisher: '',
  defaultResources: { cpu: 0.5, memory: 512_000_000, disk: 0, gpu: 0 },
};

/** Submits a body, an object as JSON, and returns what the ingest stage makes of it. */
export function submit(
  body: unknown,
  { contentType = 'application/json', ...options }: Partial<IngestOptions> & { contentType?: string } = {},
): CheckedJob & { readonly job: JobSpec } {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const submission = {
    body: new TextEncoder().encode(text),
    contentType,
    clientInstanceId: 'client-instance',
    clientInstallationId: '',
  };
  const output = new Ingest({ ...INGEST_OPTIONS, ...options }).handle(submission);
  return { ...output, job: JSON.parse(new TextDecoder().decode(output.spec)) as JobSpec };
}

/** The faults a body is refused with, one a line. */
export function faultsOf(body: unknown, options: Parameters<typeof submit>[1] = {}): string[] {
  try {
    submit(body, options);
  } catch (error) {
    assert.ok(error instanceof NodeError, String(error));
    assert.equal(error.code, 'ValidationFailed');
    return error.message.split('\n');
  }
  return [];
}

/** The smallest job there is. `task` and `job` replace fields. */
export function smallJob(task: Record<string, unknown> = {}, job: Record<string, unknown> = {}): unknown {
  return {
    Job: {
      Type: 'batch',
      Tasks: [{ Name: 'main', Engine: { Type: 'docker', Params: { Image: 'ubuntu' } }, ...task }],
      ...job,
    },
  };
}
