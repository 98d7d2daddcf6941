import type { Setting, SettingReader } from '../config/table.ts';

/** Where one role keeps its state. */
export interface StoreConfig {
  readonly type: 'lmdb' | 'memory';
  /** Absolute, with the file's name; "" means the place under the data directory. */
  readonly path: string;
}

export interface StoresConfig {
  readonly compute: StoreConfig;
  readonly requester: StoreConfig;
}

const TYPES = ['lmdb', 'boltdb', 'memory', 'inmemory'] as const;
const TYPE_DOC = '"lmdb" (on disk; "boltdb" is accepted as another name of it) or "memory" (lost at exit)';

export const storeSettings: readonly Setting[] = [
  {
    key: 'Compute.ExecutionStore.Type',
    aliases: ['Node.Compute.ExecutionStore.Type'],
    flag: 'compute-execution-store-type',
    env: ['BACALHAU_COMPUTE_STORE_TYPE'],
    kind: 'string',
    choices: TYPES,
    default: 'lmdb',
    doc: `Where a compute node keeps its executions: ${TYPE_DOC}.`,
  },
  {
    key: 'Compute.ExecutionStore.Path',
    aliases: ['Node.Compute.ExecutionStore.Path'],
    flag: 'compute-execution-store-path',
    env: ['BACALHAU_COMPUTE_STORE_PATH'],
    kind: 'string',
    default: '',
    unset: '<data dir>/{NODE-ID}-compute/executions.db',
    doc: 'Path of the execution store, with the file name.',
  },
  {
    key: 'Orchestrator.JobStore.Type',
    aliases: ['Node.Requester.JobStore.Type'],
    flag: 'requester-job-store-type',
    env: ['BACALHAU_JOB_STORE_TYPE'],
    kind: 'string',
    choices: TYPES,
    default: 'lmdb',
    doc: `Where a requester keeps its jobs: ${TYPE_DOC}.`,
  },
  {
    key: 'Orchestrator.JobStore.Path',
    aliases: ['Node.Requester.JobStore.Path'],
    flag: 'requester-job-store-path',
    env: ['BACALHAU_JOB_STORE_PATH'],
    kind: 'string',
    default: '',
    unset: '<data dir>/{NODE-ID}-requester/jobs.db',
    doc: 'Path of the job store, with the file name.',
  },
];

function readStore(settings: SettingReader, prefix: string): StoreConfig {
  const type = settings.text(`${prefix}.Type`).endsWith('memory') ? 'memory' : 'lmdb';
  if (type === 'memory' && settings.isSet(`${prefix}.Path`)) {
    settings.fault(
      `${prefix}.Path`,
      `a store of type memory has no path: remove it, or set ${prefix}.Type to lmdb`,
    );
  }
  return { type, path: settings.path(`${prefix}.Path`) };
}

export function readStores(settings: SettingReader): StoresConfig {
  const compute = readStore(settings, 'Compute.ExecutionStore');
  const requester = readStore(settings, 'Orchestrator.JobStore');
  if (compute.path !== '' && compute.path === requester.path) {
    settings.fault(
      'Orchestrator.JobStore.Path',
      'the job store and the execution store must not share a file',
    );
  }
  return { compute, requester };
}
