import type { ExecutionHeader } from '../core/item.ts';
import type { EvaluationRecord, JobRecord, LocalExecution, RequesterExecution } from './records.ts';

/** A record as its fields' values in a fixed order: half the size of a map. */
export interface Codec<T> {
  encode(record: T): readonly unknown[];
  decode(row: readonly unknown[]): T;
}

/** Places of all fields. A new field takes the next place; a place is never used again. */
type Places<T> = Readonly<Record<keyof T, number>>;

function tuple<T extends object>(places: Places<T>): Codec<T> {
  const names = Object.keys(places) as (keyof T)[];
  const width = Math.max(...Object.values<number>(places)) + 1;
  const byPlace = Array.from({ length: width }, (_, place) => names.find((name) => places[name] === place));
  // Copied, an object keeps its shape. Built up name by name it becomes a hash table, and each copy of it takes 4 µs.
  const blank = { ...(Object.fromEntries(names.map((name) => [name, null])) as T) };
  return {
    encode: (record) => byPlace.map((name) => (name === undefined ? null : record[name])),
    decode(row) {
      const record = { ...blank };
      for (const name of names) record[name] = row[places[name]] as T[keyof T];
      return record;
    },
  };
}

/** What of an execution changes; its header is stored apart, once. */
export type ExecutionRow = Omit<LocalExecution, 'header'>;

export const executionCodec: Codec<ExecutionRow> = tuple<ExecutionRow>({
  state: 0,
  wait: 1,
  version: 2,
  createTime: 3,
  updateTime: 4,
  acceptTime: 5,
  attempts: 6,
  comment: 7,
  result: 8,
  published: 9,
  error: 10,
});

export const headerCodec: Codec<ExecutionHeader> = tuple<ExecutionHeader>({
  executionId: 0,
  jobId: 1,
  jobVersion: 2,
  requesterId: 3,
  namespace: 4,
  jobType: 5,
  priority: 6,
  engine: 7,
  publisher: 8,
  resources: 9,
  executionTimeoutMs: 10,
  queueTimeoutMs: 11,
  totalTimeoutMs: 12,
  fileless: 13,
});

export const jobCodec: Codec<JobRecord> = tuple<JobRecord>({
  id: 0,
  name: 1,
  namespace: 2,
  type: 3,
  priority: 4,
  count: 5,
  labels: 6,
  constraints: 7,
  state: 8,
  version: 9,
  revision: 10,
  createTime: 11,
  modifyTime: 12,
  engine: 13,
  publisher: 14,
  storages: 15,
  resources: 16,
  queueTimeoutMs: 17,
  totalTimeoutMs: 18,
  executionTimeoutMs: 19,
  fileless: 20,
  inputs: 21,
  facts: 22,
});

export const requesterExecutionCodec: Codec<RequesterExecution> = tuple<RequesterExecution>({
  id: 0,
  jobId: 1,
  jobVersion: 2,
  evaluationId: 3,
  namespace: 4,
  name: 5,
  nodeId: 6,
  computeState: 7,
  desiredState: 8,
  resources: 9,
  published: 10,
  runOutput: 11,
  revision: 12,
  createTime: 13,
  modifyTime: 14,
});

export const evaluationCodec: Codec<EvaluationRecord> = tuple<EvaluationRecord>({
  id: 0,
  jobId: 1,
  namespace: 2,
  type: 3,
  priority: 4,
  trigger: 5,
  status: 6,
  comment: 7,
  createTime: 8,
});
