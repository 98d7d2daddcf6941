import type { NodeId } from '../../src/core/ids.ts';
import type { ComputeBound, Message } from '../../src/core/messages.ts';
import { createDelivery, type Delivery, deliveryDefaults } from '../../src/net/delivery.ts';
import type { Outbox } from '../../src/store/compute-store.ts';
import type { OutboxRow } from '../../src/store/records.ts';
import { silent } from './requester/kit.ts';
import { ManualClock } from './requester/manual-clock.ts';

export const SELF = 'self';

/** An outbox whose rows become visible one turn after they were written. */
export class TestOutbox implements Outbox {
  readonly rows: OutboxRow[] = [];
  #visible = 0;
  #seq = 0;
  #listener: (rows: readonly OutboxRow[]) => void = () => undefined;
  reads = 0;

  write(message: Message, to = SELF): number {
    this.#seq += 1;
    const row = { seq: this.#seq, to, message };
    this.rows.push(row);
    const upTo = this.#seq;
    setImmediate(() => {
      this.#visible = Math.max(this.#visible, upTo);
    });
    this.#listener([row]);
    return this.#seq;
  }

  committed(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  pending(to: NodeId, { after = 0, limit }: { after?: number; limit: number }): OutboxRow[] {
    this.reads += 1;
    return this.rows
      .filter((row) => row.to === to && row.seq > after && row.seq <= this.#visible)
      .slice(0, limit);
  }

  remove(to: NodeId, seqs: readonly number[]): void {
    for (const seq of seqs) {
      const at = this.rows.findIndex((row) => row.seq === seq && row.to === to);
      if (at >= 0) this.rows.splice(at, 1);
    }
  }

  size(): number {
    return this.rows.filter(({ seq }) => seq <= this.#visible).length;
  }
  onAppend(listener: (rows: readonly OutboxRow[]) => void): void {
    this.#listener = listener;
  }
}

export interface Bench {
  readonly clock: ManualClock;
  readonly delivery: Delivery;
  readonly outbox: TestOutbox;
  readonly answers: TestOutbox;
  readonly got: ComputeBound[];
  handle: (message: ComputeBound) => Promise<void>;
  wants: (executionId: string) => boolean;
  readonly specs: Map<string, Uint8Array>;
  /** What the compute role writes is on disk. */
  flush: () => Promise<void>;
}

export function bench(options: Partial<typeof deliveryDefaults> = {}): Bench {
  const clock = new ManualClock();
  const delivery = createDelivery({
    options: { ...deliveryDefaults, ...options, nodeId: SELF },
    modules: { clock, logger: silent, random: () => 1, onRefusal: () => undefined },
  });
  const outbox = new TestOutbox();
  const answers = new TestOutbox();
  const made: Bench = {
    clock,
    delivery,
    outbox,
    answers,
    got: [],
    handle: () => Promise.resolve(),
    wants: () => true,
    specs: new Map(),
    flush: () => Promise.resolve(),
  };
  delivery.connectRequester({
    store: {
      outbox,
      committed: () => outbox.committed(),
      spec: (jobId) =>
        jobId === 'j-gone'
          ? undefined
          : (made.specs.get(jobId) ?? new TextEncoder().encode(`spec of ${jobId}`)),
    },
    handler: { handle: () => Promise.resolve() },
    known: () => ({}),
    wantsAnswer: (_jobId, executionId) => made.wants(executionId),
  });
  delivery.connectCompute({
    store: { outbox: answers, committed: () => answers.committed(), flushed: () => made.flush() },
    handler: {
      handle: (_from, message) => {
        made.got.push(message);
        return made.handle(message);
      },
    },
  });
  return made;
}

export function accepted(executionId: string): ComputeBound {
  return { type: 'BidAccepted', executionId };
}

export function ask(executionId: string, jobId = 'j-1'): ComputeBound {
  return { type: 'AskForBid', executionId, jobId, jobVersion: 1 };
}

export const idsOf = (messages: readonly ComputeBound[]): string[] =>
  messages.map(({ executionId }) => executionId);
