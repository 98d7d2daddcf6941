import type { ExecutionId, JobId, NodeId } from '../../core/ids.ts';
import type { ExecutionHeader } from '../../core/item.ts';
import type { Resources } from '../../core/job.ts';
import type { CheckedJob, Submission } from '../../core/ports.ts';

/** Bytes in. */
export type IngestInput =
  | { readonly kind: 'job'; readonly submission: Submission }
  | {
      readonly kind: 'ask';
      readonly executionId: ExecutionId;
      readonly jobId: JobId;
      readonly jobVersion: number;
      readonly requesterId: NodeId;
      /** JobSpec JSON bytes as the requester sent them: not trusted. */
      readonly spec: Uint8Array;
    };

/** A checked job or ask out. Faults are a `fail` outcome with ValidationFailed or MalformedBody. */
export type IngestOutput =
  | { readonly kind: 'job'; readonly job: CheckedJob }
  | { readonly kind: 'ask'; readonly header: ExecutionHeader };

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
