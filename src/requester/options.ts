import type { ResourceAmounts, Setting, SettingReader } from '../config/table.ts';

/** What a job gets that does not say. */
export interface RequesterConfig {
  /** Publisher type for jobs that name none; "" for none. */
  readonly defaultPublisher: string;
  /** Asked for by a job that states no resources; before it is clamped to the machine. */
  readonly defaultResources: ResourceAmounts;
}

const PREFIX = 'JobDefaults.Task.Resources';
const OLD_PREFIX = 'Node.Compute.Capacity.DefaultJobResourceLimits';

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
];

export function readRequester(settings: SettingReader): RequesterConfig {
  const publisher = settings.text('JobDefaults.Task.Publisher').toLowerCase();
  return {
    defaultPublisher: publisher === 'none' ? '' : publisher,
    defaultResources: {
      cpu: settings.amount(`${PREFIX}.CPU`),
      memory: settings.amount(`${PREFIX}.Memory`),
      disk: settings.amount(`${PREFIX}.Disk`),
      gpu: settings.amount(`${PREFIX}.GPU`),
    },
  };
}
