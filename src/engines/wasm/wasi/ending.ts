import type { NodeError } from '../../../core/errors.ts';

/** Why a run ends before its entry point returns. */
export type Ending =
  | { readonly kind: 'exit'; readonly code: number }
  /** A limit of the node was passed. */
  | { readonly kind: 'failed'; readonly error: NodeError };

/**
 * Carries an Ending through the guest's frames to the engine. A guest may catch it by `catch_all`, so the
 * host remembers the ending and throws it again at the guest's next call.
 */
export class RunEnded extends Error {
  readonly ending: Ending;

  constructor(ending: Ending) {
    super(ending.kind);
    this.ending = ending;
  }
}
