import type { ExecutionHeader } from '../../core/item.ts';
import type { JobSpec, Resources, Task } from '../../core/job.ts';
import type { JobHeader } from '../../core/ports.ts';
import { parseResources } from '../../core/resources.ts';
import { typeKey } from './params.ts';
import type { IngestInput } from './protocol.ts';

/** What a compute node is asked, besides the job itself. */
export type Ask = Extract<IngestInput, { kind: 'ask' }>;

/** What the requester's main thread needs of a checked job. */
export function jobHeader(spec: JobSpec, defaults: Resources): JobHeader {
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
    resources: requested(task, defaults),
    queueTimeoutMs: seconds(task.Timeouts.QueueTimeout),
    totalTimeoutMs: seconds(task.Timeouts.TotalTimeout),
  };
}

/** What the compute node's main thread needs of an ask. */
export function executionHeader(spec: JobSpec, ask: Ask, defaults: Resources): ExecutionHeader {
  const [task] = spec.Tasks;
  const { ExecutionTimeout = 0, QueueTimeout, TotalTimeout = 0 } = task.Timeouts;
  return {
    executionId: ask.executionId,
    jobId: ask.jobId,
    jobVersion: ask.jobVersion,
    requesterId: ask.requesterId,
    namespace: spec.Namespace,
    jobType: spec.Type,
    priority: spec.Priority,
    engine: typeKey(task.Engine.Type),
    publisher: typeKey(task.Publisher.Type),
    resources: requested(task, defaults),
    executionTimeoutMs: seconds(ExecutionTimeout > 0 ? ExecutionTimeout : TotalTimeout),
    queueTimeoutMs: seconds(QueueTimeout),
    totalTimeoutMs: seconds(TotalTimeout),
  };
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

/** Lower case, each once; "local" is the other name of "localdirectory". */
function storageTypes(task: Task): string[] {
  const types = new Set<string>();
  for (const { Source } of task.InputSources ?? []) {
    const type = typeKey(Source.Type);
    types.add(type === 'local' ? 'localdirectory' : type);
  }
  return [...types];
}

function seconds(value: number | undefined): number {
  return (value ?? 0) * 1000;
}
