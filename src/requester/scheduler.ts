import type { NodeId } from '../core/ids.ts';
import { isComputeTerminal, isJobTerminal } from '../core/states.ts';
import type { JobRecord, RequesterExecution } from '../store/records.ts';
import { executionsFailed, type JobEvent, notEnoughNodes, retriesExhausted } from './events.ts';
import type { NodeState } from './nodes.ts';
import { type Past, pastByNode, score, unsuitable, wasLost } from './ranking.ts';

/** What should happen to a job now. */
export type Decision =
  /** Enough is under way, or the job has ended. */
  | { readonly kind: 'idle' }
  /** Ask these nodes, one execution each; `missing` more find no room. */
  | {
      readonly kind: 'ask';
      readonly nodes: readonly NodeId[];
      readonly missing: number;
      readonly reason: string;
    }
  /** Nothing can be asked now. */
  | {
      readonly kind: 'wait';
      readonly reason: string;
      /** The nodes that suit it have put it off: it is not for want of room, and keeps none. */
      readonly putOff?: boolean;
    }
  | { readonly kind: 'complete' }
  | { readonly kind: 'fail'; readonly event: JobEvent; readonly message: string };

export interface SchedulerOptions {
  /** How often a job's run is started at most, for each of its Count. */
  readonly maxAttempts: number;
  /** How often a run may be lost (its node died or forgot it) on top of that. */
  readonly maxLost: number;
}

/** What the job may take of the room there is. */
export interface Gate {
  /** False: others wait before it; only whether it could ever run is decided. */
  readonly open: boolean;
  /** Says so for people when it is not open. */
  readonly reason: string;
  /** A node not to be asked: kept free for a large job that has waited long, or it has just refused. */
  readonly reserved: NodeId | null;
  readonly nowMs: number;
}

/** Executions asked for in one change: the rest of a large Count follows in the next. */
const ASKS_PER_CHANGE = 128;

interface Candidates {
  readonly suitable: readonly NodeState[];
  readonly refused: readonly { readonly nodeId: NodeId; readonly reason: string; readonly final: boolean }[];
  readonly past: Map<string, Past>;
}

function survey(
  record: JobRecord,
  executions: readonly RequesterExecution[],
  nodes: readonly NodeState[],
  options: SchedulerOptions,
): Candidates {
  const past = executions.length === 0 ? new Map<string, Past>() : pastByNode(record, executions);
  const suitable: NodeState[] = [];
  const refused: { nodeId: NodeId; reason: string; final: boolean }[] = [];
  for (const node of nodes) {
    const { nodeId } = node.info;
    const why = unsuitable(record, node, past.get(nodeId), options.maxAttempts);
    if (why === null) suitable.push(node);
    else refused.push({ nodeId, ...why });
  }
  return { suitable, refused, past };
}

/** The best nodes with room, one entry an execution. Several executions of a job share a node only when they must. */
function pick(record: JobRecord, from: Candidates, wanted: number, gate: Gate): NodeId[] {
  const { suitable, past } = from;
  const picked = new Map<NodeId, number>();
  const nodes: NodeId[] = [];
  const most = Math.min(wanted, ASKS_PER_CHANGE);
  while (nodes.length < most) {
    let best: NodeId | null = null;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (const node of suitable) {
      const { nodeId } = node.info;
      const already = picked.get(nodeId) ?? 0;
      if (nodeId === gate.reserved || isPutOff(from, nodeId, gate)) continue;
      if (!node.room.has(record.resources, already + 1, gate.nowMs)) continue;
      const points = score(record, node, past.get(nodeId), already);
      if (points > bestScore) {
        best = nodeId;
        bestScore = points;
      }
    }
    if (best === null) break;
    picked.set(best, (picked.get(best) ?? 0) + 1);
    nodes.push(best);
  }
  return nodes;
}

function isPutOff({ past }: Candidates, nodeId: NodeId, gate: Gate): boolean {
  return (past.get(nodeId)?.notBeforeMs ?? 0) > gate.nowMs;
}

/** No node will ever do: fail, or wait for other nodes where the job says how long it would. */
function noneSuitable(record: JobRecord, requested: number, from: Candidates, nodes: number): Decision {
  const { refused } = from;
  const event = notEnoughNodes(requested, nodes, from.suitable.length, refused);
  if (nodes === 0) return { kind: 'wait', reason: 'no compute node is connected' };
  if (refused.some(({ final }) => !final)) return { kind: 'wait', reason: event.message };
  if (record.queueTimeoutMs > 0) return { kind: 'wait', reason: event.message };
  return { kind: 'fail', event, message: event.message };
}

function ended(event: JobEvent, lastError: string): Decision {
  const message = lastError === '' ? event.message : `${event.message}: ${lastError}`;
  return { kind: 'fail', event, message };
}

interface Tally {
  completed: number;
  active: number;
  failed: number;
  lost: number;
  fatal: boolean;
  lastError: string;
}

function tally(record: JobRecord, executions: readonly RequesterExecution[]): Tally {
  const sum: Tally = { completed: 0, active: 0, failed: 0, lost: 0, fatal: false, lastError: '' };
  for (const execution of executions) {
    if (execution.jobVersion !== record.version) continue;
    const { type, details, message } = execution.computeState;
    if (!isComputeTerminal(type)) sum.active += 1;
    else if (type === 'Completed') sum.completed += 1;
    else if (type === 'Failed') {
      if (wasLost(execution)) sum.lost += 1;
      else sum.failed += 1;
      if (details?.['Retryable'] === 'false') sum.fatal = true;
      sum.lastError = message;
    }
  }
  return sum;
}

/** Batch and service: Count executions, each tried again within bounds. */
function decideCounted(
  record: JobRecord,
  executions: readonly RequesterExecution[],
  nodes: readonly NodeState[],
  options: SchedulerOptions,
  gate: Gate,
): Decision {
  const sum = tally(record, executions);
  const missing = record.count - sum.active - (record.type === 'batch' ? sum.completed : 0);
  if (missing <= 0) {
    const over = sum.active === 0 && (record.type === 'batch' || record.count === 0);
    return over ? { kind: 'complete' } : { kind: 'idle' };
  }
  if (sum.fatal) return ended(executionsFailed(sum.lastError), sum.lastError);
  const each = Math.max(1, record.count);
  if (sum.failed > (options.maxAttempts - 1) * each || sum.lost > options.maxLost * each) {
    return ended(retriesExhausted(sum.lastError), sum.lastError);
  }
  const candidates = survey(record, executions, nodes, options);
  if (candidates.suitable.length === 0) return noneSuitable(record, missing, candidates, nodes.length);
  if (!gate.open) return { kind: 'wait', reason: gate.reason };
  const chosen = pick(record, candidates, missing, gate);
  const reason = noRoomReason(missing - chosen.length, candidates, nodes.length, gate);
  if (chosen.length === 0) {
    const putOff = candidates.suitable.every(({ info }) => isPutOff(candidates, info.nodeId, gate));
    return { kind: 'wait', reason, putOff };
  }
  return { kind: 'ask', nodes: chosen, missing: missing - chosen.length, reason };
}

function noRoomReason(missing: number, from: Candidates, nodes: number, gate: Gate): string {
  if (missing <= 0) return '';
  const { suitable, refused } = from;
  const busy = suitable.map(({ info: { nodeId } }) => ({
    nodeId,
    reason: isPutOff(from, nodeId, gate)
      ? 'has put the job off, and is asked again later'
      : 'no room for the job now',
  }));
  return notEnoughNodes(missing, nodes, suitable.length, [...busy, ...refused]).message;
}

/**
 * Ops: once on every node that matches when the job is first looked at. Daemon: on every node that matches,
 * those that join later too.
 */
function decideEverywhere(
  record: JobRecord,
  executions: readonly RequesterExecution[],
  nodes: readonly NodeState[],
  options: SchedulerOptions,
  gate: Gate,
): Decision {
  const candidates = survey(record, executions, nodes, options);
  const own = executions.filter(({ jobVersion }) => jobVersion === record.version);
  const sum = tally(record, own);
  const first = own.length === 0;
  const targets = candidates.suitable.filter(({ info }) => {
    const there = own.filter(({ nodeId }) => nodeId === info.nodeId);
    if (there.length === 0) return first || record.type === 'daemon';
    if (there.filter(wasLost).length > options.maxLost) return false;
    return there.every((execution) => mayRepeat(record, execution));
  });
  // The nodes of an ops job are settled by its first asks: those without room are asked too, and say so.
  const asked =
    first && record.type === 'ops'
      ? targets
      : targets
          .filter(
            ({ info, room }) =>
              info.nodeId !== gate.reserved &&
              !isPutOff(candidates, info.nodeId, gate) &&
              room.has(record.resources, 1, gate.nowMs),
          )
          .slice(0, ASKS_PER_CHANGE);
  const missing = targets.length - asked.length;
  const reason = missing > 0 ? `${missing} of the nodes have no room for the job now` : '';
  if (asked.length > 0) return { kind: 'ask', nodes: asked.map(({ info }) => info.nodeId), missing, reason };
  if (missing > 0) return { kind: 'wait', reason };
  if (sum.active > 0) return { kind: 'idle' };
  if (first || own.every(({ computeState }) => computeState.type === 'AskForBidRejected')) {
    const none = noneSuitable(record, Math.max(1, nodes.length), candidates, nodes.length);
    // Nodes that suit a daemon may join at any time.
    return none.kind === 'fail' && first && record.type === 'daemon'
      ? { kind: 'wait', reason: none.message }
      : none;
  }
  if (record.type === 'daemon' && !own.every(({ computeState }) => computeState.type === 'Failed')) {
    return { kind: 'idle' };
  }
  if (sum.failed + sum.lost > 0) return ended(executionsFailed(sum.lastError), sum.lastError);
  return { kind: 'complete' };
}

/** True when an execution's end leaves its node to be asked again. */
function mayRepeat(record: JobRecord, execution: RequesterExecution): boolean {
  const { type, details } = execution.computeState;
  if (type === 'AskForBidRejected') return details?.['Final'] !== 'true';
  if (type !== 'Failed') return false;
  return record.type === 'daemon' ? details?.['Retryable'] !== 'false' : wasLost(execution);
}

/** Looks at a job, its executions and the nodes, and says what should happen. Changes nothing. */
export function decide(
  record: JobRecord,
  executions: readonly RequesterExecution[],
  nodes: readonly NodeState[],
  options: SchedulerOptions,
  gate: Gate,
): Decision {
  if (isJobTerminal(record.state.type)) return { kind: 'idle' };
  switch (record.type) {
    case 'batch':
    case 'service':
      return decideCounted(record, executions, nodes, options, gate);
    case 'ops':
    case 'daemon':
      return decideEverywhere(record, executions, nodes, options, gate);
  }
}

/** The node to keep free for a job that finds no room: of those that could ever take it, the best. */
export function bestNode(
  record: JobRecord,
  executions: readonly RequesterExecution[],
  nodes: readonly NodeState[],
  options: SchedulerOptions,
): NodeId | null {
  const { suitable, past } = survey(record, executions, nodes, options);
  let best: NodeId | null = null;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const node of suitable) {
    const points = score(record, node, past.get(node.info.nodeId), 0);
    if (points <= bestScore) continue;
    best = node.info.nodeId;
    bestScore = points;
  }
  return best;
}
