import type { ExecutionHeader, Published } from '../../core/item.ts';
import type { SpecConfig } from '../../core/job.ts';
import type { StorageOptions } from '../bid/protocol.ts';

export interface PublishInput {
  readonly header: ExecutionHeader;
  readonly publisher: SpecConfig;
  readonly resultsDirectory: string;
}

export type PublishOutput = Published;

export interface PublishOptions {
  readonly storages: StorageOptions;
  /** Absolute; archives of the `local` publisher, `<execution id>.tar.gz`. */
  readonly archivesDirectory: string;
  /** "http://host:port/results" : what a client outside can reach; no trailing slash. */
  readonly archivesUrl: string;
}
