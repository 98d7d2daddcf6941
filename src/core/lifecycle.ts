/** A part of the node. Started downstream first, stopped upstream first; `stop` is idempotent. */
export interface Component {
  readonly name: string;
  start(): Promise<void>;
  /** Ends within `deadlineMs` (epoch). Work in progress is detached, not killed: it goes on after a restart. */
  stop(deadlineMs: number): Promise<void>;
}
