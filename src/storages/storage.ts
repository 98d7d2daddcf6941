import type { InputSource } from '../core/job.ts';
import type { PreparedInput } from '../engines/engine.ts';

export interface PrepareContext {
  readonly signal: AbortSignal;
  /** Absolute folder of this execution for its inputs; exists. Whatever is fetched goes under it. */
  readonly directory: string;
  /** Bytes this input may still use; more fails with InputTooLarge while streaming. */
  readonly maxBytes: number;
}

/** Brings inputs to this machine. One contract suite holds for every implementation. */
export interface Storage {
  /** As in `InputSource.Source.Type`, lower case: "inline", "ipfs", "urldownload", "localdirectory", "s3". */
  readonly type: string;
  /** True when the data is on this node (offline check; never a network look-up). */
  hasLocally(input: InputSource, signal: AbortSignal): Promise<boolean>;
  /** Bytes if they can be told without fetching the data, else undefined. */
  size(input: InputSource, signal: AbortSignal): Promise<number | undefined>;
  /**
   * Fetches the data. Ends within `signal`; leaves nothing outside `context.directory`.
   * @throws NodeError InputInvalid, InputUnavailable, InputTooLarge, InputForbidden, DiskFull
   */
  prepare(input: InputSource, context: PrepareContext): Promise<PreparedInput & { readonly bytes: number }>;
}
