import type { Refusal, RefusalListener } from '../core/messages.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** Senders whose first refused message was told; a flood of made-up ones must not fill memory. */
const MOST_TOLD = 1024;

/** Counts messages that changed nothing because of who sent them, and tells of each sender's first. */
export class Refusals {
  readonly #logger: Logger;
  readonly #counts = new Map<Refusal, number>();
  readonly #told = new Set<string>();

  constructor(modules: { readonly metrics: Metrics; readonly logger: Logger }) {
    this.#logger = modules.logger;
    modules.metrics.observe('bacalhau_messages_refused_total', () =>
      [...this.#counts].map(([reason, value]) => ({ labels: { reason }, value })),
    );
  }

  readonly refused: RefusalListener = (from, type, why) => {
    this.#counts.set(why, (this.#counts.get(why) ?? 0) + 1);
    const key = `${from} ${why}`;
    if (this.#told.has(key) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(key);
    this.#logger.warn({ from, type, why }, 'messages of a node are refused; this is said once');
  };
}
