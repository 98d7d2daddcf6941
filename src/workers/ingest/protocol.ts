import type { NodeId } from '../../core/ids.ts';
import type { Resources } from '../../core/job.ts';
import type { CheckedJob, JobHeader } from '../../core/ports.ts';

/**
 * A submission goes in, a checked job comes out (core/ports.ts). Faults are a `fail` outcome with ValidationFailed or
 * MalformedBody.
 */
export interface IngestOptions {
  readonly nodeId: NodeId;
  /** For Meta `bacalhau.org/server.instance.id`. */
  readonly instanceId: string;
  /** Publisher type for jobs that name none; "" for none. */
  readonly defaultPublisher: string;
  /** A job that states no resources asks for these (already clamped to the machine). */
  readonly defaultResources: Resources;
  /** Largest submission. */
  readonly bodyBytes: number;
}

/** A checked job as it comes up from a thread: values in a fixed order, because the names of fields cost more than what is in them. */
export type CheckedRow = readonly [
  id: JobHeader['id'],
  name: JobHeader['name'],
  namespace: JobHeader['namespace'],
  type: JobHeader['type'],
  priority: JobHeader['priority'],
  count: JobHeader['count'],
  labels: JobHeader['labels'],
  constraints: JobHeader['constraints'],
  engine: JobHeader['engine'],
  publisher: JobHeader['publisher'],
  storages: JobHeader['storages'],
  inputs: JobHeader['inputs'],
  resources: JobHeader['resources'],
  executionTimeoutMs: JobHeader['executionTimeoutMs'],
  queueTimeoutMs: JobHeader['queueTimeoutMs'],
  totalTimeoutMs: JobHeader['totalTimeoutMs'],
  fileless: JobHeader['fileless'],
  facts: JobHeader['facts'],
  spec: Uint8Array,
  warnings: readonly string[],
  force: boolean,
];

export function checkedRow({ header, spec, warnings, force }: CheckedJob): CheckedRow {
  return [
    header.id,
    header.name,
    header.namespace,
    header.type,
    header.priority,
    header.count,
    header.labels,
    header.constraints,
    header.engine,
    header.publisher,
    header.storages,
    header.inputs,
    header.resources,
    header.executionTimeoutMs,
    header.queueTimeoutMs,
    header.totalTimeoutMs,
    header.fileless,
    header.facts,
    spec,
    warnings,
    force,
  ];
}

/** The job again. */
export function checkedJob(row: CheckedRow): CheckedJob {
  const header: JobHeader = {
    id: row[0],
    name: row[1],
    namespace: row[2],
    type: row[3],
    priority: row[4],
    count: row[5],
    labels: row[6],
    constraints: row[7],
    engine: row[8],
    publisher: row[9],
    storages: row[10],
    inputs: row[11],
    resources: row[12],
    executionTimeoutMs: row[13],
    queueTimeoutMs: row[14],
    totalTimeoutMs: row[15],
    fileless: row[16],
    facts: row[17],
  };
  return { header, spec: row[18], warnings: row[19], force: row[20] };
}
