import type { Clock } from '../core/clock.ts';
import type { ExecutionId, NodeId } from '../core/ids.ts';
import { isComputeTerminal } from '../core/states.ts';
import type { EvaluationRecord, JobRecord, RequesterExecution } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import { Change, type ExecutionStep, type LiveJob } from './change.ts';
import { evaluationRow, jobQueued, stateUpdate, stopReasons } from './events.ts';
import { type Lives, newTicket, TICKET_DETAIL } from './lives.ts';
import type { Nodes } from './nodes.ts';
import { bestNode, type Decision, decide, type Gate, type SchedulerOptions } from './scheduler.ts';

/** What the requester tells the carrier of its messages about asks. */
export interface AskPort {
  /** The spec of a job's version, for the ask that is written next. Kept until it has been sent once. */
  attach(to: NodeId, executionId: ExecutionId, spec: Uint8Array): void;
  /** The ask was answered, or is wanted no more: it is not sent again. */
  answered(to: NodeId, executionId: ExecutionId): void;
}

/** Told of every change after it has been written. */
export interface ChangeListener {
  /** `was`: the job before it; undefined when it is new. */
  changed(
    live: LiveJob,
    was: { readonly blocked: boolean; readonly ticketId: string },
    steps: readonly ExecutionStep[],
  ): void;
}

/**
 * Turns decisions into changes and writes them: one transition an event, with all that follows from it. After
 * the write come, in this order, memory, the room of the nodes, the carrier and the listeners.
 */
export class Planner {
  readonly #nodeId: NodeId;
  readonly #scheduling: SchedulerOptions;
  readonly #store: RequesterStore;
  readonly #clock: Clock;
  readonly #lives: Lives;
  readonly #nodes: Nodes;
  readonly #asks: AskPort;
  readonly #listeners: ChangeListener[] = [];

  constructor(
    options: { readonly nodeId: NodeId; readonly scheduling: SchedulerOptions },
    modules: {
      readonly store: RequesterStore;
      readonly clock: Clock;
      readonly lives: Lives;
      readonly nodes: Nodes;
      readonly asks: AskPort;
    },
  ) {
    this.#nodeId = options.nodeId;
    this.#scheduling = options.scheduling;
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#lives = modules.lives;
    this.#nodes = modules.nodes;
    this.#asks = modules.asks;
  }

  listen(listener: ChangeListener): void {
    this.#listeners.push(listener);
  }

  begin(live: LiveJob, isNew = false): Change {
    return new Change(live, { nodeId: this.#nodeId, time: this.#clock.nowMicros(), isNew });
  }

  /** What should happen to the job as the change leaves it. */
  decide(change: Change, gate: Gate): Decision {
    return decide(change.record, change.executions(), this.#nodes.compute, this.#scheduling, gate);
  }

  /** The node to keep free for a job that finds no room. */
  bestNode(record: JobRecord, executions: readonly RequesterExecution[]): NodeId | null {
    return bestNode(record, executions, this.#nodes.compute, this.#scheduling);
  }

  /** Adds what a decision means to the change. */
  carry(change: Change, decision: Decision): void {
    switch (decision.kind) {
      case 'idle':
        change.unblock();
        return;
      case 'ask':
        if (decision.missing === 0) change.unblock();
        for (const nodeId of decision.nodes) change.ask(nodeId);
        if (decision.missing > 0) {
          change.noteAsked();
          change.block();
        }
        return;
      case 'wait':
        this.#queue(change, decision.reason);
        return;
      case 'complete':
        this.#complete(change);
        return;
      case 'fail':
        for (const execution of change.active()) change.cancel(execution, stopReasons.jobFailed);
        change.jobEvent(decision.event, change.record.state.type, 'Failed');
        change.setJobState('Failed', decision.message);
        change.unblock();
        return;
    }
  }

  /** Decides, adds and writes. */
  settle(change: Change, gate: Gate): Decision {
    const decision = this.decide(change, gate);
    this.carry(change, decision);
    this.commit(change);
    return decision;
  }

  /** A run has failed: what follows waits, if it must, under a wish of its own. */
  retry(change: Change, gate: Gate): void {
    if (!change.blocked) change.renew(newTicket(change.record, 'exec-failure', change.time));
    this.settle(change, gate);
  }

  /** Writes. @throws NodeError IllegalTransition; then nothing has changed */
  commit(change: Change): void {
    if (!change.dirty) return;
    const { live } = change;
    const was = { blocked: live.blocked, ticketId: live.ticket.id };
    const asked: RequesterExecution[] = [];
    if (change.spec !== undefined) {
      for (const { from, record } of change.steps) {
        if (from !== null) continue;
        asked.push(record);
        this.#asks.attach(record.nodeId, record.id, change.spec);
      }
    }
    try {
      this.#store.transition(change.toJobChange());
    } catch (error) {
      for (const { nodeId, id } of asked) this.#asks.answered(nodeId, id);
      throw error;
    }
    change.apply();
    this.#lives.keep(live);
    const nowMs = this.#clock.nowMs();
    for (const step of change.steps) this.#account(step, nowMs, change.record.inputs ?? []);
    for (const listener of this.#listeners) listener.changed(live, was, change.steps);
  }

  /** Ends a wish of the store that no job goes by any more. */
  drop(evaluation: EvaluationRecord, from: 'blocked' | 'pending', status: 'complete' | 'cancelled'): void {
    const record: EvaluationRecord = { ...evaluation, status };
    const row = evaluationRow(record, this.#nodeId, this.#clock.nowMicros(), from);
    this.#store.transition({ evaluations: [{ from, record }], history: [row] });
  }

  #queue(change: Change, reason: string): void {
    change.block();
    const { state } = change.record;
    if (change.active().length > 0) return;
    if (state.type === 'Queued' && state.details?.[TICKET_DETAIL] === change.ticket.id) return;
    if (state.type !== 'Queued') change.jobEvent(jobQueued(reason), state.type, 'Queued');
    change.setJobState('Queued', reason, { [TICKET_DETAIL]: change.ticket.id });
  }

  #complete(change: Change): void {
    change.jobEvent(stateUpdate('Completed'), change.record.state.type, 'Completed');
    change.setJobState('Completed');
    change.unblock();
  }

  #account({ from, waited, record }: ExecutionStep, nowMs: number, inputs: readonly string[]): void {
    const { id, nodeId, resources, computeState } = record;
    const room = this.#nodes.room(nodeId);
    const over = isComputeTerminal(computeState.type);
    if (from === null) {
      room.asked(resources, nowMs);
      return;
    }
    if (from === 'AskForBid' && computeState.type === 'AskForBid') {
      // It takes nothing at the node until somebody there says so; the carrier goes on asking, ever more rarely.
      if (waited !== true) room.answered(resources, false);
    } else if (from === 'AskForBid') {
      this.#asks.answered(nodeId, id);
      if (inputs.length > 0) this.#noteInputs(record, inputs);
      if (waited !== true) room.answered(resources, !over);
      else if (!over) room.tookUp();
    } else if (over && !isComputeTerminal(from)) {
      room.ended();
    }
  }

  /** How a node answers an ask tells whether it has the job's data. */
  #noteInputs({ nodeId, computeState }: RequesterExecution, inputs: readonly string[]): void {
    const { type, details } = computeState;
    if (!isComputeTerminal(type) || type === 'Completed') this.#nodes.sawInputs(nodeId, inputs, true);
    else if (details?.['RejectCode'] === 'locality') this.#nodes.sawInputs(nodeId, inputs, false);
  }
}
