import { newEvaluationId, newExecutionId, newJobId } from '../../src/core/ids.ts';
import { NO_RESOURCES } from '../../src/core/resources.ts';
import type {
  EvaluationRecord,
  HistoryInput,
  JobRecord,
  LocalExecution,
  RequesterExecution,
} from '../../src/store/records.ts';

/** Records for store tests: plausible, and different where a test says so. */
export const TEST_NODE = '12D3KooWTestNodeTestNodeTestNodeTestNodeTestNode1234';

export const TEST_SPEC: Uint8Array = new TextEncoder().encode(
  JSON.stringify({ Name: 'j', Type: 'batch', Tasks: [{ Engine: { Type: 'mock' } }] }),
);

let clock = 1_700_000_000_000_000;

function tick(): number {
  clock += 1000;
  return clock;
}

export function testExecution(
  change: Partial<LocalExecution> & { executionId?: string; jobId?: string } = {},
): LocalExecution {
  const { executionId = newExecutionId(), jobId = newJobId(), ...rest } = change;
  const time = tick();
  return {
    header: {
      executionId,
      jobId,
      jobVersion: 1,
      requesterId: TEST_NODE,
      namespace: 'default',
      jobType: 'batch',
      priority: 0,
      engine: 'mock',
      publisher: '',
      resources: NO_RESOURCES,
      executionTimeoutMs: 0,
      queueTimeoutMs: 0,
      totalTimeoutMs: 0,
      fileless: false,
    },
    state: 'Created',
    wait: null,
    version: 1,
    createTime: time,
    updateTime: time,
    acceptTime: 0,
    attempts: 0,
    comment: '',
    result: null,
    published: null,
    error: null,
    ...rest,
  };
}

export function testJob(change: Partial<JobRecord> = {}): JobRecord {
  const id = change.id ?? newJobId();
  const time = tick();
  return {
    id,
    name: id,
    namespace: 'default',
    type: 'batch',
    priority: 0,
    count: 1,
    labels: {},
    constraints: [],
    state: { type: 'Pending', message: '' },
    version: 1,
    revision: 1,
    createTime: time,
    modifyTime: time,
    engine: 'mock',
    publisher: '',
    storages: [],
    resources: NO_RESOURCES,
    executionTimeoutMs: 0,
    queueTimeoutMs: 0,
    totalTimeoutMs: 0,
    fileless: false,
    ...change,
  };
}

export function testRequesterExecution(change: Partial<RequesterExecution> = {}): RequesterExecution {
  const time = tick();
  return {
    id: newExecutionId(),
    jobId: newJobId(),
    jobVersion: 1,
    evaluationId: newEvaluationId(),
    namespace: 'default',
    name: 'e',
    nodeId: TEST_NODE,
    computeState: { type: 'New', message: '' },
    desiredState: { type: 'Pending', message: '' },
    resources: NO_RESOURCES,
    published: { Type: '' },
    runOutput: null,
    revision: 1,
    createTime: time,
    modifyTime: time,
    ...change,
  };
}

export function testEvaluation(change: Partial<EvaluationRecord> = {}): EvaluationRecord {
  return {
    id: newEvaluationId(),
    jobId: newJobId(),
    namespace: 'default',
    type: 'batch',
    priority: 0,
    trigger: 'job-register',
    status: 'pending',
    comment: '',
    createTime: tick(),
    ...change,
  };
}

export function testHistory(change: Partial<HistoryInput> & { jobId: string }): HistoryInput {
  return {
    time: tick(),
    level: change.executionId === undefined ? 'job' : 'execution',
    jobVersion: 1,
    executionId: '',
    nodeId: TEST_NODE,
    from: '',
    to: '',
    topic: 'Test',
    message: '',
    details: {},
    ...change,
  };
}
