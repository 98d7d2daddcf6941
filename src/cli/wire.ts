import { computeStateCodes, desiredStateCodes } from '../core/states.ts';

/** Lenient views of what the API answers: an absent field is empty, a number may be a bigint. */
export type Wire = Readonly<Record<string, unknown>>;

/** `value` as an object; empty where it is none. */
export function wire(value: unknown): Wire {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Wire) : {};
}

/** Items of an array field; empty where it is none. */
export function wireItems(value: unknown): readonly Wire[] {
  return Array.isArray(value) ? value.map(wire) : [];
}

/** Text of a field: numbers are printed, everything else is "". */
export function wireText(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : '';
}

/** Number of a field; 0 where it is none. */
export function wireNumber(value: unknown): number {
  return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : 0;
}

/** Milliseconds of a time in nanoseconds. */
export function wireTimeMs(value: unknown): number {
  return typeof value === 'bigint' ? Number(value / 1_000_000n) : wireNumber(value) / 1e6;
}

/** A job, as far as the CLI shows it. */
export interface JobWire {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly type: string;
  readonly count: number;
  readonly version: number;
  readonly engine: string;
  readonly publisher: string;
  readonly state: string;
  readonly message: string;
  readonly createdMs: number;
  readonly modifiedMs: number;
}

export function readJob(value: unknown): JobWire {
  const job = wire(value);
  const task = wireItems(job['Tasks'])[0] ?? {};
  const state = wire(job['State']);
  return {
    id: wireText(job['ID']),
    name: wireText(job['Name']),
    namespace: wireText(job['Namespace']),
    type: wireText(job['Type']),
    count: wireNumber(job['Count']),
    version: wireNumber(job['Version']),
    engine: wireText(wire(task['Engine'])['Type']),
    publisher: wireText(wire(task['Publisher'])['Type']),
    state: wireText(state['StateType']),
    message: wireText(state['Message']),
    createdMs: wireTimeMs(job['CreateTime']),
    modifiedMs: wireTimeMs(job['ModifyTime']),
  };
}

/** An execution, as far as the CLI shows it. */
export interface ExecutionWire {
  readonly id: string;
  readonly nodeId: string;
  readonly jobVersion: number;
  readonly state: string;
  readonly desired: string;
  readonly comment: string;
  readonly revision: number;
  readonly createdMs: number;
  readonly modifiedMs: number;
  /** Undefined where the execution has not run. */
  readonly output:
    | {
        readonly exitCode: number;
        readonly stdout: string;
        readonly stderr: string;
        readonly truncated: boolean;
        readonly error: string;
      }
    | undefined;
}

function nameOf(codes: Readonly<Record<string, number>>, value: unknown): string {
  if (typeof value === 'string') return value;
  return Object.entries(codes).find(([, code]) => code === value)?.[0] ?? 'Undefined';
}

export function readExecution(value: unknown): ExecutionWire {
  const execution = wire(value);
  const state = wire(execution['ComputeState']);
  const run = execution['RunOutput'];
  const output = wire(run);
  return {
    id: wireText(execution['ID']),
    nodeId: wireText(execution['NodeID']),
    jobVersion: wireNumber(execution['JobVersion']),
    state: nameOf(computeStateCodes, state['StateType']),
    desired: nameOf(desiredStateCodes, wire(execution['DesiredState'])['StateType']),
    comment: wireText(state['Message']),
    revision: wireNumber(execution['Revision']),
    createdMs: wireTimeMs(execution['CreateTime']),
    modifiedMs: wireTimeMs(execution['ModifyTime']),
    output:
      typeof run === 'object' && run !== null
        ? {
            exitCode: wireNumber(output['ExitCode']),
            stdout: wireText(output['Stdout']),
            stderr: wireText(output['stderr']),
            truncated: output['StdoutTruncated'] === true || output['StderrTruncated'] === true,
            error: wireText(output['ErrorMsg']),
          }
        : undefined,
  };
}

/** One row of a job's history. */
export interface HistoryWire {
  readonly level: string;
  readonly jobVersion: number;
  readonly executionId: string;
  readonly timeMs: number;
  readonly topic: string;
  readonly message: string;
  readonly isError: boolean;
  readonly hint: string;
}

export function readHistory(value: unknown): HistoryWire {
  const row = wire(value);
  const event = wire(row['Event']);
  const details = wire(event['Details']);
  const time = wireText(event['Timestamp']) || wireText(row['Time']);
  return {
    level: wireText(row['Type']),
    jobVersion: wireNumber(row['JobVersion']),
    executionId: wireText(row['ExecutionID']),
    timeMs: Date.parse(time) || 0,
    topic: wireText(event['Topic']),
    message: wireText(event['Message']),
    isError: wireText(details['IsError']).toLowerCase() === 'true',
    hint: wireText(details['Hint']),
  };
}
