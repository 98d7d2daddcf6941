import type { ExecutionHeader } from '../core/item.ts';
import type { Resources, RunCommandResult, SpecConfig } from '../core/job.ts';
import type {
  EvaluationRecord,
  JobRecord,
  LocalExecution,
  RequesterExecution,
  StateText,
} from './records.ts';

/*
 * Records as tuples: half the size of a map. Each field is written out, because code that goes through names takes five
 * times as long. A new field takes the next place; a place is never used again. What is absent stays absent.
 */

/** A record to its tuple and back. */
interface Codec<T, Row> {
  encode(record: T): Row;
  decode(row: Row): T;
}

type ResourcesRow = readonly [cpu: number, memory: number, disk: number, gpu: number];

const resourcesCodec: Codec<Resources, ResourcesRow> = {
  encode: ({ cpu, memory, disk, gpu }) => [cpu, memory, disk, gpu],
  decode: ([cpu, memory, disk, gpu]) => ({ cpu, memory, disk, gpu }),
};

type ConfigRow = readonly [type: string, params?: SpecConfig['Params']];

const configCodec: Codec<SpecConfig, ConfigRow> = {
  encode: ({ Type, Params }) => (Params === undefined ? [Type] : [Type, Params]),
  decode: ([Type, Params]) => (Params === undefined ? { Type } : { Type, Params }),
};

type ResultRow = readonly [
  stdout: string,
  isStdoutCut: boolean,
  stderr: string,
  isStderrCut: boolean,
  exitCode: number,
  error: string,
];

const resultCodec: Codec<RunCommandResult, ResultRow> = {
  encode: (result) => [
    result.Stdout,
    result.StdoutTruncated,
    result.stderr,
    result.StderrTruncated,
    result.ExitCode,
    result.ErrorMsg,
  ],
  decode: ([Stdout, StdoutTruncated, stderr, StderrTruncated, ExitCode, ErrorMsg]) => ({
    Stdout,
    StdoutTruncated,
    stderr,
    StderrTruncated,
    ExitCode,
    ErrorMsg,
  }),
};

type StateRow<S> = readonly [type: S, message: string, details?: StateText<S>['details']];

function encodeState<S>({ type, message, details }: StateText<S>): StateRow<S> {
  return details === undefined ? [type, message] : [type, message, details];
}

function decodeState<S>([type, message, details]: StateRow<S>): StateText<S> {
  return details === undefined ? { type, message } : { type, message, details };
}

type Wait = NonNullable<LocalExecution['wait']>;
type WaitRow = readonly [kind: Wait['kind'], untilMs: number, reason: string, approved?: true];

const waitCodec: Codec<Wait, WaitRow> = {
  encode: ({ kind, untilMs, reason, approved }) =>
    approved === undefined ? [kind, untilMs, reason] : [kind, untilMs, reason, approved],
  decode: ([kind, untilMs, reason, approved]) =>
    approved === undefined ? { kind, untilMs, reason } : { kind, untilMs, reason, approved },
};

type HeaderRow = readonly [
  executionId: string,
  jobId: string,
  jobVersion: number,
  requesterId: string,
  namespace: string,
  jobType: ExecutionHeader['jobType'],
  priority: number,
  engine: string,
  publisher: string,
  resources: ResourcesRow,
  executionTimeoutMs: number,
  queueTimeoutMs: number,
  totalTimeoutMs: number,
  fileless: boolean,
];

const headerCodec: Codec<ExecutionHeader, HeaderRow> = {
  encode: (header) => [
    header.executionId,
    header.jobId,
    header.jobVersion,
    header.requesterId,
    header.namespace,
    header.jobType,
    header.priority,
    header.engine,
    header.publisher,
    resourcesCodec.encode(header.resources),
    header.executionTimeoutMs,
    header.queueTimeoutMs,
    header.totalTimeoutMs,
    header.fileless,
  ],
  decode: (row) => ({
    executionId: row[0],
    jobId: row[1],
    jobVersion: row[2],
    requesterId: row[3],
    namespace: row[4],
    jobType: row[5],
    priority: row[6],
    engine: row[7],
    publisher: row[8],
    resources: resourcesCodec.decode(row[9]),
    executionTimeoutMs: row[10],
    queueTimeoutMs: row[11],
    totalTimeoutMs: row[12],
    fileless: row[13],
  }),
};

export type ExecutionRow = readonly [
  header: HeaderRow,
  state: LocalExecution['state'],
  wait: WaitRow | null,
  version: number,
  createTime: number,
  updateTime: number,
  acceptTime: number,
  attempts: number,
  comment: string,
  result: ResultRow | null,
  published: ConfigRow | null,
  error: LocalExecution['error'],
];

export const executionCodec: Codec<LocalExecution, ExecutionRow> = {
  encode: (record) => [
    headerCodec.encode(record.header),
    record.state,
    record.wait && waitCodec.encode(record.wait),
    record.version,
    record.createTime,
    record.updateTime,
    record.acceptTime,
    record.attempts,
    record.comment,
    record.result && resultCodec.encode(record.result),
    record.published && configCodec.encode(record.published),
    record.error,
  ],
  decode: (row) => ({
    header: headerCodec.decode(row[0]),
    state: row[1],
    wait: row[2] && waitCodec.decode(row[2]),
    version: row[3],
    createTime: row[4],
    updateTime: row[5],
    acceptTime: row[6],
    attempts: row[7],
    comment: row[8],
    result: row[9] && resultCodec.decode(row[9]),
    published: row[10] && configCodec.decode(row[10]),
    error: row[11],
  }),
};

export type JobRow = readonly [
  id: string,
  name: string,
  namespace: string,
  type: JobRecord['type'],
  priority: number,
  count: number,
  labels: JobRecord['labels'],
  constraints: JobRecord['constraints'],
  state: StateRow<JobRecord['state']['type']>,
  version: number,
  revision: number,
  createTime: number,
  modifyTime: number,
  engine: string,
  publisher: string,
  storages: JobRecord['storages'],
  resources: ResourcesRow,
  queueTimeoutMs: number,
  totalTimeoutMs: number,
  executionTimeoutMs: number,
  fileless: boolean,
  inputs: JobRecord['inputs'],
  facts: JobRecord['facts'],
];

export const jobCodec: Codec<JobRecord, JobRow> = {
  encode: (job) => [
    job.id,
    job.name,
    job.namespace,
    job.type,
    job.priority,
    job.count,
    job.labels,
    job.constraints,
    encodeState(job.state),
    job.version,
    job.revision,
    job.createTime,
    job.modifyTime,
    job.engine,
    job.publisher,
    job.storages,
    resourcesCodec.encode(job.resources),
    job.queueTimeoutMs,
    job.totalTimeoutMs,
    job.executionTimeoutMs,
    job.fileless,
    job.inputs,
    job.facts,
  ],
  decode: (row) => ({
    id: row[0],
    name: row[1],
    namespace: row[2],
    type: row[3],
    priority: row[4],
    count: row[5],
    labels: row[6],
    constraints: row[7],
    state: decodeState(row[8]),
    version: row[9],
    revision: row[10],
    createTime: row[11],
    modifyTime: row[12],
    engine: row[13],
    publisher: row[14],
    storages: row[15],
    resources: resourcesCodec.decode(row[16]),
    queueTimeoutMs: row[17],
    totalTimeoutMs: row[18],
    executionTimeoutMs: row[19],
    fileless: row[20],
    ...(row[21] !== undefined && { inputs: row[21] }),
    ...(row[22] !== undefined && { facts: row[22] }),
  }),
};

export type RequesterExecutionRow = readonly [
  id: string,
  jobId: string,
  jobVersion: number,
  evaluationId: string,
  namespace: string,
  name: string,
  nodeId: string,
  computeState: StateRow<RequesterExecution['computeState']['type']>,
  desiredState: StateRow<RequesterExecution['desiredState']['type']>,
  resources: ResourcesRow,
  published: ConfigRow,
  runOutput: ResultRow | null,
  revision: number,
  createTime: number,
  modifyTime: number,
];

export const requesterExecutionCodec: Codec<RequesterExecution, RequesterExecutionRow> = {
  encode: (execution) => [
    execution.id,
    execution.jobId,
    execution.jobVersion,
    execution.evaluationId,
    execution.namespace,
    execution.name,
    execution.nodeId,
    encodeState(execution.computeState),
    encodeState(execution.desiredState),
    resourcesCodec.encode(execution.resources),
    configCodec.encode(execution.published),
    execution.runOutput && resultCodec.encode(execution.runOutput),
    execution.revision,
    execution.createTime,
    execution.modifyTime,
  ],
  decode: (row) => ({
    id: row[0],
    jobId: row[1],
    jobVersion: row[2],
    evaluationId: row[3],
    namespace: row[4],
    name: row[5],
    nodeId: row[6],
    computeState: decodeState(row[7]),
    desiredState: decodeState(row[8]),
    resources: resourcesCodec.decode(row[9]),
    published: configCodec.decode(row[10]),
    runOutput: row[11] && resultCodec.decode(row[11]),
    revision: row[12],
    createTime: row[13],
    modifyTime: row[14],
  }),
};

export type EvaluationRow = readonly [
  id: string,
  jobId: string,
  namespace: string,
  type: EvaluationRecord['type'],
  priority: number,
  trigger: EvaluationRecord['trigger'],
  status: EvaluationRecord['status'],
  comment: string,
  createTime: number,
];

export const evaluationCodec: Codec<EvaluationRecord, EvaluationRow> = {
  encode: (evaluation) => [
    evaluation.id,
    evaluation.jobId,
    evaluation.namespace,
    evaluation.type,
    evaluation.priority,
    evaluation.trigger,
    evaluation.status,
    evaluation.comment,
    evaluation.createTime,
  ],
  decode: ([id, jobId, namespace, type, priority, trigger, status, comment, createTime]) => ({
    id,
    jobId,
    namespace,
    type,
    priority,
    trigger,
    status,
    comment,
    createTime,
  }),
};
