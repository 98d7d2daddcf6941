import { newExecutionId, newJobId } from '../../../src/core/ids.ts';
import type { ExecutionHeader } from '../../../src/core/item.ts';
import type { Resources } from '../../../src/core/job.ts';
import type { Item } from '../../../src/pipeline/item.ts';
import type { LocalExecution } from '../../../src/store/records.ts';

/** Parts of an item that admission looks at. */
export interface ItemParts {
  readonly id?: string;
  readonly resources: Resources;
  readonly priority?: number;
  readonly engine?: string;
  readonly queuedAtMs: number;
}

/** An accepted execution on its way to admission, without a reservation. */
export function pipelineItem(parts: ItemParts): Item {
  const header: ExecutionHeader = {
    executionId: parts.id ?? newExecutionId(),
    jobId: newJobId(),
    jobVersion: 1,
    requesterId: 'requester',
    namespace: 'default',
    jobType: 'batch',
    priority: parts.priority ?? 0,
    engine: parts.engine ?? 'mock',
    publisher: '',
    resources: parts.resources,
    executionTimeoutMs: 0,
    queueTimeoutMs: 0,
    totalTimeoutMs: 0,
    fileless: false,
  };
  const record: LocalExecution = {
    header,
    state: 'BidAccepted',
    wait: null,
    version: 2,
    createTime: 0,
    updateTime: 0,
    acceptTime: 0,
    attempts: 0,
    comment: '',
    result: null,
    published: null,
    error: null,
  };
  return {
    id: header.executionId,
    priority: header.priority,
    header,
    spec: new Uint8Array(0),
    record,
    station: 'admit',
    ticket: 0,
    queuedAtMs: parts.queuedAtMs,
    placement: undefined,
    gpus: [],
    inputs: [],
    result: undefined,
    hasFiles: true,
    slot: undefined,
    ran: false,
    failure: undefined,
    stop: undefined,
    timers: [],
    watchers: undefined,
  };
}
