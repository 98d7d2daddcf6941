import type { ResourceAmounts, Setting, SettingReader } from '../config/table.ts';

/** What the node gives to jobs. */
export interface CapacityConfig {
  /** Unset: 80 % of what was detected, GPUs 100 %. */
  readonly total: ResourceAmounts;
  /** Most of one job. Unset: the total. */
  readonly job: ResourceAmounts;
  /** True: totals above the machine's own figures are accepted. */
  readonly ignorePhysicalLimits: boolean;
}

const EXAMPLES = {
  CPU: ['cpu', 'amount-cpu', 'CPU cores', '500m, 2, 8'],
  Memory: ['memory', 'amount-memory', 'memory', '500Mb, 2Gb, 8Gb'],
  Disk: ['disk', 'amount-disk', 'disk space', '500Mb, 2Gb, 8Gb'],
  GPU: ['gpu', 'amount-gpu', 'GPUs', '1, 2, or 8'],
} as const;
const DIMENSIONS = ['CPU', 'Memory', 'Disk', 'GPU'] as const;

const totals: readonly Setting[] = DIMENSIONS.map((dimension) => {
  const [flag, kind, noun, examples] = EXAMPLES[dimension];
  return {
    key: `Compute.AllocatedCapacity.${dimension}`,
    aliases: [`Node.Compute.Capacity.TotalResourceLimits.${dimension}`],
    flag: `limit-total-${flag}`,
    kind,
    default: '',
    unset: dimension === 'GPU' ? 'all that were detected' : '80 % of what was detected',
    doc: `Total ${noun} for all jobs (e.g. ${examples}), or a percentage of the machine's.`,
  };
});

const perJob: readonly Setting[] = DIMENSIONS.map((dimension) => {
  const [flag, kind, noun, examples] = EXAMPLES[dimension];
  return {
    key: `Compute.JobLimit.${dimension}`,
    aliases: [`Node.Compute.Capacity.JobResourceLimits.${dimension}`],
    flag: `limit-job-${flag}`,
    kind,
    default: '',
    unset: 'the total',
    doc: `Most ${noun} for a single job (e.g. ${examples}), or a percentage of the machine's.`,
  };
});

export const capacitySettings: readonly Setting[] = [
  ...totals,
  ...perJob,
  {
    key: 'Compute.IgnorePhysicalResourceLimits',
    aliases: ['Node.Compute.Capacity.IgnorePhysicalResourceLimits'],
    flag: 'ignore-physical-resource-limits',
    env: ['BACALHAU_CAPACITY_MANAGER_OVER_COMMIT'],
    kind: 'boolean',
    default: 'false',
    doc: 'Accept totals above what the machine has.',
  },
];

function amounts(settings: SettingReader, prefix: string): ResourceAmounts {
  return {
    cpu: settings.amount(`${prefix}.CPU`),
    memory: settings.amount(`${prefix}.Memory`),
    disk: settings.amount(`${prefix}.Disk`),
    gpu: settings.amount(`${prefix}.GPU`),
  };
}

export function readCapacity(settings: SettingReader): CapacityConfig {
  const total = amounts(settings, 'Compute.AllocatedCapacity');
  const job = amounts(settings, 'Compute.JobLimit');
  for (const [dimension, name] of [
    ['cpu', 'CPU'],
    ['memory', 'Memory'],
    ['disk', 'Disk'],
    ['gpu', 'GPU'],
  ] as const) {
    const limit = total[dimension];
    const one = job[dimension];
    if (limit.kind === 'exact' && one.kind === 'exact' && one.value > limit.value) {
      settings.fault(
        `Compute.JobLimit.${name}`,
        `the limit of one job is above the total of all jobs (Compute.AllocatedCapacity.${name})`,
      );
    }
  }
  return { total, job, ignorePhysicalLimits: settings.boolean('Compute.IgnorePhysicalResourceLimits') };
}
