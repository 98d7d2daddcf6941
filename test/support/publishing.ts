import type { ExecutionHeader } from '../../src/core/item.ts';
import type { InputSource } from '../../src/core/job.ts';
import type { PublishRequest } from '../../src/publishers/publisher.ts';

/** The header of an execution whose only remarkable part is its id. */
export function executionHeader(executionId: string): ExecutionHeader {
  return {
    executionId,
    jobId: 'j-00000000-0000-7000-8000-000000000000',
    jobVersion: 1,
    requesterId: 'requester',
    namespace: 'default',
    jobType: 'batch',
    priority: 0,
    engine: 'mock',
    publisher: 'local',
    resources: { cpu: 0.1, memory: 1, disk: 0, gpu: 0 },
    executionTimeoutMs: 0,
    queueTimeoutMs: 0,
    totalTimeoutMs: 0,
    fileless: false,
  };
}

export function publishRequest(
  executionId: string,
  resultsDirectory: string,
  signal: AbortSignal = new AbortController().signal,
): PublishRequest {
  return { header: executionHeader(executionId), publisher: { Type: 'any' }, resultsDirectory, signal };
}

/** An input of a job. */
export function inputSource(type: string, params: Record<string, unknown>, target = '/inputs'): InputSource {
  return { Source: { Type: type, Params: params }, Alias: 'an-alias', Target: target };
}
