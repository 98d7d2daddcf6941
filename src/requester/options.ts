import type { ResourceAmounts, Setting, SettingReader } from '../config/table.ts';

/** What a job gets that does not say. */
export interface RequesterConfig {
  /** Publisher type for jobs that name none; "" for none. */
  readonly defaultPublisher: string;
  /** Asked for by a job that states no resources; before it is clamped to the machine. */
  readonly defaultResources: ResourceAmounts;
  /** A node that is connected has so long to answer an ask; then another is asked. */
  readonly askTimeoutMs: number;
  /** What a node was given waits so long for the node to come back. */
  readonly nodeLostTimeoutMs: number;
}

const PREFIX = 'JobDefaults.Task.Resources';
const OLD_PREFIX = 'Node.Compute.Capacity.DefaultJobResourceLimits';

const ASK_TIMEOUT = 'Orchestrator.Scheduler.AskTimeout';
const LOST_TIMEOUT = 'Orchestrator.NodeManager.LostTimeout';
const SHORTEST_MS = 1000;

export const requesterSettings: readonly Setting[] = [
  {
    key: 'JobDefaults.Task.Publisher',
    aliases: ['Node.Requester.DefaultPublisher', 'DefaultPublisher.Type'],
    flag: 'default-publisher',
    kind: 'string',
    default: '',
    unset: 'none: results are not published',
    doc: 'Publisher of jobs that name none ("none" means none).',
  },
  {
    key: `${PREFIX}.CPU`,
    aliases: [`${OLD_PREFIX}.CPU`],
    kind: 'amount-cpu',
    default: '500m',
    doc: 'CPU of a job that states none.',
  },
  {
    key: `${PREFIX}.Memory`,
    aliases: [`${OLD_PREFIX}.Memory`],
    kind: 'amount-memory',
    default: '512Mb',
    doc: 'Memory of a job that states none.',
  },
  {
    key: `${PREFIX}.Disk`,
    aliases: [`${OLD_PREFIX}.Disk`],
    kind: 'amount-disk',
    default: '',
    unset: 'none',
    doc: 'Disk space of a job that states none.',
  },
  {
    key: `${PREFIX}.GPU`,
    aliases: [`${OLD_PREFIX}.GPU`],
    kind: 'amount-gpu',
    default: '',
    unset: 'none',
    doc: 'GPUs of a job that states none.',
  },
  {
    key: ASK_TIMEOUT,
    flag: 'ask-timeout',
    kind: 'duration',
    default: '1m',
    doc: 'How long a compute node may take to answer an ask; then another one is asked. Longer than its probes may take.',
  },
  {
    key: LOST_TIMEOUT,
    flag: 'node-lost-timeout',
    kind: 'duration',
    default: '5m',
    doc: 'How long executions wait for a node that is out of reach; then they count as lost, and run elsewhere.',
  },
];

export function readRequester(settings: SettingReader): RequesterConfig {
  const publisher = settings.text('JobDefaults.Task.Publisher').toLowerCase();
  const askTimeoutMs = settings.durationMs(ASK_TIMEOUT);
  const nodeLostTimeoutMs = settings.durationMs(LOST_TIMEOUT);
  if (askTimeoutMs < SHORTEST_MS) settings.fault(ASK_TIMEOUT, 'is shorter than 1s');
  if (nodeLostTimeoutMs < SHORTEST_MS) settings.fault(LOST_TIMEOUT, 'is shorter than 1s');
  return {
    askTimeoutMs,
    nodeLostTimeoutMs,
    defaultPublisher: publisher === 'none' ? '' : publisher,
    defaultResources: {
      cpu: settings.amount(`${PREFIX}.CPU`),
      memory: settings.amount(`${PREFIX}.Memory`),
      disk: settings.amount(`${PREFIX}.Disk`),
      gpu: settings.amount(`${PREFIX}.GPU`),
    },
  };
}
