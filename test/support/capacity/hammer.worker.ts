import { workerData } from 'node:worker_threads';
import { LedgerView, type Ticket } from '../../../src/capacity/ledger-view.ts';
import type { SharedLedger } from '../../../src/capacity/ledger-words.ts';

/** What a hammering thread is given. */
export interface HammerData {
  readonly ledger: SharedLedger;
  /** Its number among the ledger's writers. */
  readonly writer: number;
  readonly tickets: readonly Ticket[];
  readonly seed: number;
  /** 0 while it shall go on; set by the test. */
  readonly stop: Int32Array;
  /** Counts: cell 0 leases made, 1 uses made, 2 refusals, 3 expired before they were accepted. */
  readonly counts: Int32Array;
}

/** Takes its tickets through all their phases in random order, again and again. */
function hammer({ ledger, writer, tickets, seed, stop, counts }: HammerData): void {
  const view = new LedgerView(ledger, writer);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return ((state >>> 8) & 0xffff) % below;
  };
  const count = (cell: number): number => Atomics.add(counts, cell, 1);
  while (Atomics.load(stop, 0) === 0) {
    const ticket = tickets[random(tickets.length)] ?? 0;
    switch (random(8)) {
      case 0:
      case 1:
        if (view.lease(ticket)) count(0);
        else count(2);
        break;
      case 2:
      case 3:
        if (!view.accept(ticket)) count(3);
        break;
      case 4:
      case 5:
        if (view.use(ticket)) count(1);
        else count(2);
        break;
      case 6:
        view.stop(ticket);
        break;
      case 7:
        view.release(ticket);
        break;
    }
  }
}

hammer(workerData as HammerData);
