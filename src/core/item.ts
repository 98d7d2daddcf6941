import type { ExecutionId, JobId, NodeId } from './ids.ts';
import type { JobType, Resources, RunCommandResult, SpecConfig } from './job.ts';

/** What the main thread knows of an execution without parsing its spec. Small, cloneable; made by the ingest stage. */
export interface ExecutionHeader {
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly jobVersion: number;
  /** Who asked: results and errors go there. */
  readonly requesterId: NodeId;
  readonly namespace: string;
  readonly jobType: JobType;
  readonly priority: number;
  /** Engine type, lower case. */
  readonly engine: string;
  /** Publisher type, lower case; "" for none. */
  readonly publisher: string;
  /** What the job asks for, holes filled by the node's defaults. */
  readonly resources: Resources;
  /** 0 means the node's default. */
  readonly executionTimeoutMs: number;
  /** Time an accepted execution may wait for capacity; 0 means no limit. */
  readonly queueTimeoutMs: number;
  /** From acceptance to end, all clocks together; 0 means no limit. */
  readonly totalTimeoutMs: number;
  /** Nothing of it need be a file: it gets a folder only when something is written. */
  readonly fileless: boolean;
}

/** Result of the admit stage: where the execution lives and what it was given. */
export interface Placement {
  /**
   * Absolute path, `<data dir>/executions/<execution id>`: inputs/, results/ in it. Of a fileless execution whoever
   * writes there first makes it.
   */
  readonly directory: string;
  /** Indexes of the assigned GPUs. */
  readonly gpus: readonly number[];
}

/** Result of the execute stage. The engine has stopped. */
export interface Finished {
  readonly result: RunCommandResult;
  /** Its folder exists. */
  readonly hasFiles: boolean;
}

/** Result of the publish stage. */
export interface Published {
  /** `{Type: ""}` where nothing was published. */
  readonly published: SpecConfig;
}

/** End of the name of an archive that is still being written. */
export const PARTIAL_SUFFIX: string = '.partial';
