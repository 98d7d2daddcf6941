import { availableParallelism } from 'node:os';
import type { Setting, SettingReader } from '../config/table.ts';

/** Threads of each pool. */
export interface WorkersConfig {
  readonly ingest: number;
  readonly bid: number;
  readonly admit: number;
  /** Prepares inputs for all engines and supervises containers. */
  readonly supervise: number;
  /** Most WASM jobs that run at once. */
  readonly wasm: number;
  readonly publish: number;
}

const MOST_THREADS = 1024;
const MOST_SUPERVISORS = 4;

function row(name: string, default_: string, doc: string): Setting {
  return { key: `Workers.${name}`, kind: 'integer', min: 1, max: MOST_THREADS, default: default_, doc };
}

export const workersSettings: readonly Setting[] = [
  row('Ingest', '1', 'Threads that check submitted jobs and asks.'),
  row('Bid', '1', 'Threads that decide on bids.'),
  row('Admit', '1', 'Threads that make the directories of executions.'),
  {
    ...row(
      'Supervise',
      '',
      'Threads that fetch inputs and supervise containers; each looks after many jobs.',
    ),
    unset: 'one for two cores, at most 4',
  },
  {
    ...row('Wasm', '', 'WASM jobs that run at once; their threads start when they are needed.'),
    unset: 'one a core',
  },
  row('Publish', '1', 'Threads that publish results.'),
];

export function readWorkers(settings: SettingReader): WorkersConfig {
  return {
    ingest: settings.integer('Workers.Ingest'),
    bid: settings.integer('Workers.Bid'),
    admit: settings.integer('Workers.Admit'),
    supervise: settings.isSet('Workers.Supervise')
      ? settings.integer('Workers.Supervise')
      : Math.max(1, Math.min(MOST_SUPERVISORS, availableParallelism() >> 1)),
    wasm: settings.isSet('Workers.Wasm') ? settings.integer('Workers.Wasm') : availableParallelism(),
    publish: settings.integer('Workers.Publish'),
  };
}
