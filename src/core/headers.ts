import type { ExecutionId, JobId, NodeId } from './ids.ts';
import { isInlineFile } from './inline.ts';
import type { ExecutionHeader } from './item.ts';
import type { JobSpec, NetworkType, Resources, Task } from './job.ts';
import type { JobHeader } from './ports.ts';
import { parseResources } from './resources.ts';

/** What a compute node is asked, besides the job itself. */
export interface AskedExecution {
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly jobVersion: number;
  readonly requesterId: NodeId;
}

/** What the requester's main thread needs of a checked job. */
export function jobHeader(spec: JobSpec, defaults: Resources, facts: BidFacts | null = null): JobHeader {
  const [task] = spec.Tasks;
  return {
    id: spec.ID,
    name: spec.Name,
    namespace: spec.Namespace,
    type: spec.Type,
    priority: spec.Priority,
    count: spec.Count,
    labels: spec.Labels,
    constraints: spec.Constraints,
    engine: typeKey(task.Engine.Type),
    publisher: typeKey(task.Publisher.Type),
    storages: storageTypes(task),
    inputs: inputKeys(task),
    resources: requested(task, defaults),
    executionTimeoutMs: executionTimeoutMs(task),
    queueTimeoutMs: milliseconds(task.Timeouts.QueueTimeout),
    totalTimeoutMs: milliseconds(task.Timeouts.TotalTimeout),
    fileless: isFileless(task),
    facts,
  };
}

/** What the compute node's main thread needs of an ask. */
export function executionHeader(spec: JobSpec, asked: AskedExecution, defaults: Resources): ExecutionHeader {
  const [task] = spec.Tasks;
  return {
    executionId: asked.executionId,
    jobId: asked.jobId,
    jobVersion: asked.jobVersion,
    requesterId: asked.requesterId,
    namespace: spec.Namespace,
    jobType: spec.Type,
    priority: spec.Priority,
    engine: typeKey(task.Engine.Type),
    publisher: typeKey(task.Publisher.Type),
    resources: requested(task, defaults),
    executionTimeoutMs: executionTimeoutMs(task),
    queueTimeoutMs: milliseconds(task.Timeouts.QueueTimeout),
    totalTimeoutMs: milliseconds(task.Timeouts.TotalTimeout),
    fileless: isFileless(task),
  };
}

/**
 * What of an execution's header its spec says, but for the resources: values in a fixed order, because between threads
 * the names of fields cost more than what is in them.
 */
export type ReadSpec = readonly [
  namespace: string,
  jobType: ExecutionHeader['jobType'],
  priority: number,
  engine: string,
  publisher: string,
  executionTimeoutMs: number,
  queueTimeoutMs: number,
  totalTimeoutMs: number,
  fileless: boolean,
];

export function readSpec(header: ExecutionHeader): ReadSpec {
  return [
    header.namespace,
    header.jobType,
    header.priority,
    header.engine,
    header.publisher,
    header.executionTimeoutMs,
    header.queueTimeoutMs,
    header.totalTimeoutMs,
    header.fileless,
  ];
}

/** What of a spec a bid is decided on, besides its header: values in a fixed order, as above. */
export type BidFacts = readonly [
  network: NetworkType,
  /** Types of its inputs: lower case, each once. */
  storages: readonly string[],
  /** Some input is data, and no module of a WASM program. */
  readsData: boolean,
  /** Of its inline inputs, together. */
  inlineBytes: number,
];

/** The header again. */
export function headerOfRead(asked: AskedExecution, resources: Resources, read: ReadSpec): ExecutionHeader {
  return {
    executionId: asked.executionId,
    jobId: asked.jobId,
    jobVersion: asked.jobVersion,
    requesterId: asked.requesterId,
    namespace: read[0],
    jobType: read[1],
    priority: read[2],
    engine: read[3],
    publisher: read[4],
    resources,
    executionTimeoutMs: read[5],
    queueTimeoutMs: read[6],
    totalTimeoutMs: read[7],
    fileless: read[8],
  };
}

/** A type's name as it is compared. */
export function typeKey(type: string): string {
  return type.trim().toLowerCase();
}

/** The task's request; what it does not ask for is the default. */
function requested(task: Task, defaults: Resources): Resources {
  const asked = parseResources(task.Resources);
  return {
    cpu: asked.cpu > 0 ? asked.cpu : defaults.cpu,
    memory: asked.memory > 0 ? asked.memory : defaults.memory,
    disk: asked.disk > 0 ? asked.disk : defaults.disk,
    gpu: asked.gpu > 0 ? asked.gpu : defaults.gpu,
  };
}

/** A storage's type as nodes offer it: "local" is v1.9's other name of "localDirectory". */
export function storageKey(type: string): string {
  const key = typeKey(type);
  return key === 'local' ? 'localdirectory' : key;
}

/** Types of a task's inputs, each once. */
export function storageTypes({ InputSources = [] }: Task): string[] {
  if (InputSources.length === 0) return [];
  return [...new Set(InputSources.map(({ Source }) => storageKey(Source.Type)))];
}

/** More of them say nothing new about where a job's data is. */
const MOST_INPUTS = 8;
const INPUT_KEY_LENGTH = 200;

/** What data the task reads that some node may have already, by content or place; each once. */
function inputKeys(task: Task): string[] {
  const keys = new Set<string>();
  for (const { Source } of task.InputSources ?? []) {
    const type = typeKey(Source.Type);
    if (type === 'inline' || keys.size >= MOST_INPUTS) continue;
    const { CID, URL } = Source.Params ?? {};
    const what =
      typeof CID === 'string' ? CID : typeof URL === 'string' ? URL : JSON.stringify(Source.Params);
    keys.add(`${type}:${what}`.slice(0, INPUT_KEY_LENGTH));
  }
  return [...keys];
}

/** A publisher, a result path and most inputs need files; Docker writes some in any case. */
function isFileless({ Engine, Publisher, InputSources = [], ResultPaths = [] }: Task): boolean {
  if (typeKey(Publisher.Type) !== '' || ResultPaths.length > 0) return false;
  const engine = typeKey(Engine.Type);
  return engine === 'mock'
    ? InputSources.length === 0
    : engine === 'wasm' && InputSources.every(isInlineFile);
}

function executionTimeoutMs({ Timeouts: { ExecutionTimeout = 0, TotalTimeout = 0 } }: Task): number {
  return milliseconds(ExecutionTimeout > 0 ? ExecutionTimeout : TotalTimeout);
}

function milliseconds(seconds: number | undefined): number {
  return (seconds ?? 0) * 1000;
}
