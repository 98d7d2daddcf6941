import type { NodeId } from '../../core/ids.ts';
import type { Resources } from '../../core/job.ts';

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
