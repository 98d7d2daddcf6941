import type { HistoryPage } from '../../../requester/service.ts';
import { wireTime } from './time.ts';

/** JobHistory of v1.9. `JobState` and `ExecutionState` are for clients before v1.5 only. */
export interface HistoryWire {
  SeqNum: number;
  Type: 'JobLevel' | 'ExecutionLevel';
  JobID: string;
  JobVersion: number;
  ExecutionID?: string;
  Event: {
    Message: string;
    Topic: string;
    Timestamp: string;
    Details?: Readonly<Record<string, string>>;
  };
  Time: string;
  JobState?: { Previous: string; New: string };
  ExecutionState?: { Previous: number; New: number };
}

/** A row of a job's history. @param stateChanges adds what old clients follow without looking whether it is there */
export function historyToWire(row: HistoryPage['items'][number], stateChanges: boolean): HistoryWire {
  const time = wireTime(row.time);
  const isJob = row.level === 'job';
  return {
    SeqNum: row.seqNum,
    Type: isJob ? 'JobLevel' : 'ExecutionLevel',
    JobID: row.jobId,
    JobVersion: row.jobVersion,
    ...(row.executionId === '' ? {} : { ExecutionID: row.executionId }),
    Event: {
      Message: row.message,
      Topic: row.topic,
      Timestamp: time,
      ...(Object.keys(row.details).length === 0 ? {} : { Details: row.details }),
    },
    Time: time,
    ...(stateChanges && isJob
      ? { JobState: { Previous: row.from || 'Undefined', New: row.to || 'Undefined' } }
      : {}),
    ...(stateChanges && !isJob ? { ExecutionState: { Previous: 0, New: 0 } } : {}),
  };
}
