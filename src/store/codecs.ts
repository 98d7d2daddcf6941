import type { ExecutionHeader } from '../core/item.ts';
import type { Resources, RunCommandResult, SpecConfig } from '../core/job.ts';
import type {
  EvaluationRecord,
  JobRecord,
  LocalExecution,
  RequesterExecution,
  StateText,
} from './records.ts';

/** A record as its fields' values in a fixed order: half the size of a map. */
export interface Codec<T> {
  encode(record: T): readonly unknown[];
  decode(row: readonly unknown[]): T;
}

/** Places of all fields. A new field takes the next place; a place is never used again. */
type Places<T> = { readonly [K in keyof T]-?: number };

/** How fields are kept that are records themselves; others are kept as they are. */
type Parts<T> = { readonly [K in keyof T]?: Codec<NonNullable<T[K]>> };

/** Absent fields stay absent. */
function tuple<T extends object>(places: Places<T>, parts: Parts<T> = {}): Codec<T> {
  const names = Object.keys(places) as (keyof T)[];
  const width = Math.max(...Object.values<number>(places)) + 1;
  const byPlace = Array.from({ length: width }, (_, place) => {
    const name = names.find((one) => places[one] === place);
    return { name, part: name === undefined ? undefined : parts[name] };
  });
  return {
    encode(record) {
      // Filled from the front: setting places in any order costs twice as much.
      const row: unknown[] = [];
      for (const { name, part } of byPlace) {
        const value = name === undefined ? null : record[name];
        row.push(part === undefined || value === null || value === undefined ? value : part.encode(value));
      }
      while (row.at(-1) === undefined) row.pop();
      return row;
    },
    decode(row) {
      const record: Partial<T> = {};
      for (const name of names) {
        const value = row[places[name]];
        const part = parts[name];
        if (part !== undefined && Array.isArray(value)) record[name] = part.decode(value);
        else if (value !== undefined) record[name] = value as T[keyof T];
      }
      return record as T;
    },
  };
}

const resourcesCodec = tuple<Resources>({ cpu: 0, memory: 1, disk: 2, gpu: 3 });

const specConfigCodec = tuple<SpecConfig>({ Type: 0, Params: 1 });

const resultCodec = tuple<RunCommandResult>({
  Stdout: 0,
  StdoutTruncated: 1,
  stderr: 2,
  StderrTruncated: 3,
  ExitCode: 4,
  ErrorMsg: 5,
});

function stateCodec<S>(): Codec<StateText<S>> {
  return tuple<StateText<S>>({ type: 0, message: 1, details: 2 });
}

const waitCodec = tuple<NonNullable<LocalExecution['wait']>>({ kind: 0, untilMs: 1, reason: 2, approved: 3 });

const headerCodec: Codec<ExecutionHeader> = tuple<ExecutionHeader>(
  {
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
  },
  { resources: resourcesCodec },
);

export const executionCodec: Codec<LocalExecution> = tuple<LocalExecution>(
  {
    header: 0,
    state: 1,
    wait: 2,
    version: 3,
    createTime: 4,
    updateTime: 5,
    acceptTime: 6,
    attempts: 7,
    comment: 8,
    result: 9,
    published: 10,
    error: 11,
  },
  { header: headerCodec, wait: waitCodec, result: resultCodec, published: specConfigCodec },
);

export const jobCodec: Codec<JobRecord> = tuple<JobRecord>(
  {
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
  },
  { state: stateCodec(), resources: resourcesCodec },
);

export const requesterExecutionCodec: Codec<RequesterExecution> = tuple<RequesterExecution>(
  {
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
  },
  {
    computeState: stateCodec(),
    desiredState: stateCodec(),
    resources: resourcesCodec,
    published: specConfigCodec,
    runOutput: resultCodec,
  },
);

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
