import type { JobId, NodeId } from '../core/ids.ts';
import { isComputeTerminal } from '../core/states.ts';
import type { JobRecord } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { Broker } from './broker.ts';
import { type LiveJob, waitsForApproval } from './change.ts';
import type { Deadlines } from './deadlines.ts';
import { type Lives, TICKET_DETAIL } from './lives.ts';
import type { Nodes } from './nodes.ts';
import type { Planner } from './planner.ts';
import type { Reach } from './reach.ts';

/** Jobs looked at in one turn of the loop. */
const SLICE = 256;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Takes up what an earlier life left. Jobs that wait for room stay where they are: only their number is read.
 * All others that have not ended come into memory; their open asks are rows of the outbox, which the carrier
 * repeats, but for those to this very node, which are written again; and what ended while nobody looked is found by deciding on each once.
 */
export class Recovery {
  readonly #nodeId: NodeId;
  readonly #store: RequesterStore;
  readonly #lives: Lives;
  readonly #nodes: Nodes;
  readonly #planner: Planner;
  readonly #broker: Broker;
  readonly #deadlines: Deadlines;
  readonly #reach: Reach;

  constructor(
    options: { readonly nodeId: NodeId },
    modules: {
      readonly store: RequesterStore;
      readonly lives: Lives;
      readonly nodes: Nodes;
      readonly planner: Planner;
      readonly broker: Broker;
      readonly deadlines: Deadlines;
      readonly reach: Reach;
    },
  ) {
    this.#nodeId = options.nodeId;
    this.#store = modules.store;
    this.#lives = modules.lives;
    this.#nodes = modules.nodes;
    this.#planner = modules.planner;
    this.#broker = modules.broker;
    this.#deadlines = modules.deadlines;
    this.#reach = modules.reach;
  }

  async run(onLive: (live: LiveJob) => void): Promise<void> {
    await this.#store.committed();
    this.#nodes.recover();
    this.#broker.recover();
    this.#deadlines.recover();
    let after: JobId | undefined;
    for (;;) {
      const page = this.#store.inProgress(after === undefined ? { limit: SLICE } : { after, limit: SLICE });
      for (const id of page) this.#take(id, onLive);
      if (page.length < SLICE) break;
      after = page.at(-1);
      await nextTurn();
    }
    this.#reach.begin();
    await this.#dropPending();
    await this.#store.flushed();
  }

  #take(id: JobId, onLive: (live: LiveJob) => void): void {
    const record = this.#store.job(id);
    if (record === undefined || this.#onlyWaits(record)) return;
    const live = this.#lives.load(id);
    if (live === undefined) return;
    if (record.type === 'daemon') onLive(live);
    const active = [...live.executions.values()].filter(
      ({ computeState }) => !isComputeTerminal(computeState.type),
    );
    if (live.blocked && active.length === 0) return;
    for (const execution of active) {
      const { nodeId, resources, computeState } = execution;
      this.#reach.restored(execution);
      if (waitsForApproval(execution)) continue;
      this.#nodes.room(nodeId).restored(resources, computeState.type !== 'AskForBid');
    }
    this.#lives.keep(live);
    this.#deadlines.changed(live);
    const change = this.#planner.begin(live);
    // Said again: a node that has forgotten the execution, or ended it unheard, answers.
    for (const execution of active) {
      const { id: executionId, nodeId, computeState } = execution;
      if (computeState.type !== 'AskForBid') change.send(nodeId, { type: 'BidAccepted', executionId });
      else if (nodeId === this.#nodeId) change.askAgain(execution);
    }
    this.#planner.settle(change, this.#broker.passingGate(null));
  }

  /** Tells without reading executions: of a hundred thousand jobs, most only wait. */
  #onlyWaits(record: JobRecord): boolean {
    const { type, count, state } = record;
    if (state.type !== 'Queued' || count > 1 || type === 'ops' || type === 'daemon') return false;
    const ticket = state.details?.[TICKET_DETAIL];
    return ticket !== undefined && this.#store.evaluation(record, ticket)?.status === 'blocked';
  }

  /** Wishes whose jobs were looked at above. */
  async #dropPending(): Promise<void> {
    await this.#store.committed();
    let after: string | undefined;
    for (;;) {
      const page = this.#store.pendingEvaluations(
        after === undefined ? { limit: SLICE } : { after, limit: SLICE },
      );
      for (const evaluation of page) {
        const live = this.#lives.peek(evaluation.jobId);
        if (live?.pending === true && live.ticket.id === evaluation.id) continue;
        this.#planner.drop(evaluation, 'pending', 'complete');
      }
      if (page.length < SLICE) return;
      after = page.at(-1)?.id;
      await nextTurn();
    }
  }
}
