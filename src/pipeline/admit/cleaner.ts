import type { Logger } from '../../telemetry/logger.ts';
import type { AdmitInput, AdmitOutput } from '../../workers/admit/protocol.ts';
import type { Item } from '../item.ts';
import type { StageRunner } from '../runner.ts';

/** Folders removed in one message to the admit pool. */
const BATCH = 64;

/** Removes the folders of ended executions through the admit pool, one batch at a time. */
export class Cleaner {
  readonly #admit: StageRunner<Item, AdmitInput, AdmitOutput>;
  readonly #logger: Logger;
  /** No longer than the executions that have just ended: each had a place in a bounded queue before. */
  #waiting: string[] = [];
  #busy = false;

  constructor(admit: StageRunner<Item, AdmitInput, AdmitOutput>, logger: Logger) {
    this.#admit = admit;
    this.#logger = logger;
  }

  remove(id: string): void {
    this.#waiting.push(id);
    if (!this.#busy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const ids = this.#waiting.splice(0, BATCH);
      try {
        await this.#admit.aside(
          ids.map((id) => ({ id: `remove ${id}`, input: { kind: 'remove', executionId: id } })),
        );
      } catch (error) {
        // What is left is found and removed at the next start.
        this.#logger.debug({ err: error, count: ids.length }, 'folders of ended executions were not removed');
      }
    }
    this.#busy = false;
  }
}
