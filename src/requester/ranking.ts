import type { Resources } from '../core/job.ts';
import { fits, formatResources, NO_RESOURCES } from '../core/resources.ts';
import { isComputeTerminal } from '../core/states.ts';
import type { JobRecord, RequesterExecution } from '../store/records.ts';
import type { NodeState } from './nodes.ts';
import { FAVOUR_PREFIX, formatRequirement, meets } from './selectors.ts';

/** Codes with which a run ends that went wrong through no fault of the job. */
const LOST: ReadonlySet<string> = new Set(['ExecutionLost', 'ExecutionCancelled']);

/** True when the run failed because its node died, or forgot it. */
export function wasLost({ computeState }: RequesterExecution): boolean {
  return computeState.type === 'Failed' && LOST.has(computeState.details?.['ErrorCode'] ?? '');
}

/** Why a node can not take a job: for good, or as things are now. */
export interface Unsuitable {
  readonly reason: string;
  readonly final: boolean;
}

/** What a job's executions on one node say about asking that node again. */
export interface Past {
  /** Not ended. */
  active: number;
  /** Without those that were lost. */
  failed: number;
  /** Reason of a final refusal. */
  refusal: string | null;
  /** How often the node put the job off for a reason of the job's own, and until when it is not asked again. */
  putOff: number;
  notBeforeMs: number;
}

const NO_PAST: Past = { active: 0, failed: 0, refusal: null, putOff: 0, notBeforeMs: 0 };

/** Refusals for now that say nothing of the node's room: other jobs may go there, this one later. */
const OWN_REASONS: ReadonlySet<string> = new Set(['probe_failed', 'locality', 'image_platform', 'no_answer']);
/** First pause before such a job is asked for again; it doubles up to the longest. */
const PUT_OFF_MS = 1000;
const LONGEST_PUT_OFF_MS = 60_000;

/** True when a refusal with this code, not a final one, is about the job and not about room. */
export function isOwnReason(code: string): boolean {
  return OWN_REASONS.has(code);
}

/** Executions of a job's present version, by node. */
export function pastByNode(record: JobRecord, executions: Iterable<RequesterExecution>): Map<string, Past> {
  const past = new Map<string, Past>();
  for (const execution of executions) {
    if (execution.jobVersion !== record.version) continue;
    let of = past.get(execution.nodeId);
    if (of === undefined) {
      of = { ...NO_PAST };
      past.set(execution.nodeId, of);
    }
    const { type, details, message } = execution.computeState;
    if (!isComputeTerminal(type)) of.active += 1;
    else if (type === 'Failed' && !wasLost(execution)) of.failed += 1;
    else if (type === 'AskForBidRejected') {
      if (details?.['Final'] === 'true') of.refusal = message;
      else if (isOwnReason(details?.['RejectCode'] ?? '')) putOff(of, execution.modifyTime);
    }
  }
  return past;
}

function putOff(past: Past, atMicros: number): void {
  const pauseMs = Math.min(LONGEST_PUT_OFF_MS, PUT_OFF_MS * 2 ** Math.min(past.putOff, 10));
  past.putOff += 1;
  past.notBeforeMs = Math.max(past.notBeforeMs, atMicros / 1000 + pauseMs);
}

function lacks(
  kind: 'engines' | 'publishers' | 'storages',
  wanted: string,
  node: NodeState,
): Unsuitable | null {
  if (wanted === '' || node.offer[kind].has(wanted)) return null;
  if (node.known[kind].has(wanted)) {
    return { final: false, reason: `does not offer ${wanted} at this moment` };
  }
  const only = [...node.offer[kind]].join(', ');
  return { final: true, reason: `does not support ${wanted}${only === '' ? '' : `, only ${only}`}` };
}

function tooLarge(record: JobRecord, node: NodeState): Unsuitable | null {
  const most = node.info.compute?.maxJobRequirements ?? NO_RESOURCES;
  if (fits(record.resources, most)) return null;
  return {
    final: true,
    reason: `job requires ${formatResources(record.resources)}, more than the ${formatResources(most)} that one job may have`,
  };
}

function unmetConstraint(record: JobRecord, node: NodeState): Unsuitable | null {
  const unmet = record.constraints.find(
    (constraint) => !constraint.Key.startsWith(FAVOUR_PREFIX) && !meets(node.info.labels, constraint),
  );
  if (unmet === undefined) return null;
  return { final: true, reason: `labels do not match the job's constraint ${formatRequirement(unmet)}` };
}

/** Null when the node can take the job, room apart. `past` are the job's executions there. */
export function unsuitable(
  record: JobRecord,
  node: NodeState,
  past: Past | undefined,
  maxAttempts: number,
): Unsuitable | null {
  if (node.membership !== 'APPROVED') {
    return { final: node.membership === 'REJECTED', reason: `node membership is ${node.membership}` };
  }
  let why = lacks('engines', record.engine, node) ?? lacks('publishers', record.publisher, node);
  for (const storage of record.storages) why ??= lacks('storages', storage, node);
  why ??= unmetConstraint(record, node) ?? tooLarge(record, node);
  if (why !== null) return why;
  const { failed, refusal } = past ?? NO_PAST;
  if (refusal !== null) return { final: true, reason: refusal };
  if (failed >= maxAttempts * Math.max(1, record.count)) {
    return { final: true, reason: 'job already executed on this node more than once' };
  }
  if (node.connection !== 'CONNECTED') return { final: false, reason: 'node is not connected' };
  return null;
}

const FAVOURED = 10;
const FAILED_HERE = 30;
const ALREADY_HERE = 20;
const STARTS_NOW = 10;
const HAS_INPUTS = 8;

function share(part: number, whole: number): number {
  return whole <= 0 ? 0 : Math.max(0, Math.min(1, part / whole));
}

function freeShare(free: Resources, most: Resources): number {
  return (share(free.cpu, most.cpu) + share(free.memory, most.memory)) / 2;
}

/**
 * How good a suitable node is; higher is better. In this order of weight: it has not failed this job, has no
 * other execution of it, would start it now, has short queues, has been seen with its data, has much free.
 */
export function score(record: JobRecord, node: NodeState, past: Past | undefined, picked: number): number {
  const { compute, labels } = node.info;
  if (compute === null) return Number.NEGATIVE_INFINITY;
  const { active, failed } = past ?? NO_PAST;
  let points = -FAILED_HERE * failed - ALREADY_HERE * (active + picked);
  for (const constraint of record.constraints) {
    if (!constraint.Key.startsWith(FAVOUR_PREFIX)) continue;
    const Key = constraint.Key.slice(FAVOUR_PREFIX.length);
    if (meets(labels, { ...constraint, Key })) points += FAVOURED;
  }
  if (fits(record.resources, compute.availableCapacity)) points += STARTS_NOW;
  const waiting = compute.enqueuedExecutions + node.room.inFlight + picked;
  points += 10 / (1 + waiting);
  points += HAS_INPUTS * node.inputs.share(record.inputs ?? []);
  points += 5 * freeShare(compute.availableCapacity, compute.maxCapacity);
  return points;
}
