import type { HistoryInput } from '../store/records.ts';
import type { Item } from './item.ts';

/** Topics of Bacalhau's event catalogue that a compute node writes. */
export type Topic =
  | 'Bidding'
  | 'Scheduling'
  | 'Preparing Environment'
  | 'Downloading Inputs'
  | 'Exec Scanning'
  | 'Exec Timeout'
  | 'Running Execution'
  | 'Execution'
  | 'Publishing Results'
  | 'Restart';

/** One row about an execution. `from` is the state before, `to` after; equal ones mean no change. */
export function executionRow(
  item: Pick<Item, 'header'>,
  row: {
    readonly time: number;
    readonly nodeId: string;
    readonly from: string;
    readonly to: string;
    readonly topic: Topic;
    readonly message: string;
    readonly details?: Readonly<Record<string, string>>;
  },
): HistoryInput {
  const { header } = item;
  return {
    time: row.time,
    level: 'execution',
    jobId: header.jobId,
    jobVersion: header.jobVersion,
    executionId: header.executionId,
    nodeId: row.nodeId,
    from: row.from,
    to: row.to,
    topic: row.topic,
    message: row.message,
    details: row.details ?? {},
  };
}
