import type { ExecutionHeader } from '../core/item.ts';
import type { SpecConfig } from '../core/job.ts';

export interface PublishRequest {
  readonly header: ExecutionHeader;
  readonly publisher: SpecConfig;
  /** Absolute; stdout, stderr, exitCode and one folder a result path in it. */
  readonly resultsDirectory: string;
  readonly signal: AbortSignal;
}

/** Takes results off this machine, or makes them reachable on it. Idempotent by execution id. */
export interface Publisher {
  /** Lower case: "ipfs", "local", "s3". */
  readonly type: string;
  /** What clients download from. @throws NodeError PublishFailed, DiskFull */
  publish(request: PublishRequest): Promise<SpecConfig>;
}
