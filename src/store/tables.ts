import type { TableSpec } from './environment.ts';

/*
 * Both stores
 *   meta                   "schema" → {version, role, nodeId}; "counters" → CountersRow (role-log.ts)
 *   history                [first seq, last seq] → chunk of rows (history-chunk.ts): the event log; seqs are the node's,
 *                          gaps belong to the other role
 *   history-by-owner       [job id | execution id, first seq of a chunk] → its last seq, number of the owner's rows in it
 *   messages               [receiver, seq] → message  undelivered ones: rows for a node that is away are in nobody's way
 *
 * executions.db
 *   executions-live        execution id → LocalExecution that has not ended, and the history of one that is an open bid
 *                          (open-bids.ts): of these only the spec is elsewhere
 *   executions             execution id → LocalExecution that has ended
 *   execution-specs        execution id → JobSpec JSON bytes, written once
 *   executions-by-job      [job id, execution id] → (nothing)       all but open bids
 *   executions-by-state    [terminal state, execution id] → (nothing)
 *
 * jobs.db
 *   jobs                   job id → JobRecord
 *   job-specs              [job id, version] → JobSpec JSON bytes, written once
 *   jobs-by-name           [namespace, name] → job id     absent where the name is the id
 *   jobs-by-namespace      [namespace, job id] → (nothing)
 *   jobs-live              job id → (nothing)             not ended
 *   jobs-ended             [modify time, job id] → (nothing)
 *   job-executions         [job id, execution id] → RequesterExecution
 *   evaluations-pending    evaluation id → EvaluationRecord
 *   evaluations-blocked    [-priority, evaluation id] → EvaluationRecord     jobs that wait for room, in their order
 *   nodes                  node id → StoredNode
 *
 * Ids are time-ordered, so that new rows go to the end of each tree. Rows are tuples (codecs.ts): a field is
 * only ever added at the end. A table's name is never given another meaning; a change that old code would
 * misread raises SCHEMA_VERSION.
 */

/** What this code writes and reads. */
export const SCHEMA_VERSION = 5;

/** The value of an index row: the key says it all. */
export const NOTHING: Uint8Array = new Uint8Array(0);

const rows = (name: string): TableSpec => ({ name, encoding: 'msgpack' });
const bytes = (name: string): TableSpec => ({ name, encoding: 'bytes' });

export const metaTable: TableSpec = rows('meta');
export const historyTable: TableSpec = rows('history');
export const historyByOwnerTable: TableSpec = rows('history-by-owner');
export const messagesTable: TableSpec = rows('messages');

export const executionsLiveTable: TableSpec = rows('executions-live');
export const executionsTable: TableSpec = rows('executions');
export const executionSpecsTable: TableSpec = bytes('execution-specs');
export const executionsByJobTable: TableSpec = bytes('executions-by-job');
export const executionsByStateTable: TableSpec = bytes('executions-by-state');

export const jobsTable: TableSpec = rows('jobs');
export const jobSpecsTable: TableSpec = bytes('job-specs');
export const jobsByNameTable: TableSpec = rows('jobs-by-name');
export const jobsByNamespaceTable: TableSpec = bytes('jobs-by-namespace');
export const jobsLiveTable: TableSpec = bytes('jobs-live');
export const jobsEndedTable: TableSpec = bytes('jobs-ended');
export const jobExecutionsTable: TableSpec = rows('job-executions');
export const evaluationsPendingTable: TableSpec = rows('evaluations-pending');
export const evaluationsBlockedTable: TableSpec = rows('evaluations-blocked');
export const nodesTable: TableSpec = rows('nodes');
