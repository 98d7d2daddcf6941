import { NodeError } from '../core/errors.ts';
import type { Gpu, Resources } from '../core/job.ts';
import { formatBytes } from '../core/resources.ts';
import type { Detected } from './detect.ts';
import type { CapacityConfig } from './options.ts';

type Dimension = keyof Resources;
type Amount = CapacityConfig['total'][Dimension];

/** Share of the machine that jobs get when nothing is said: the rest is the node's own and the system's. */
const OFFERED: Resources = { cpu: 0.8, memory: 0.8, disk: 0.8, gpu: 1 };
/**
 * Waiting executions may add up to this many machines. They hold nothing but their place; with room for one
 * machine only, jobs of milliseconds would wait for messages and not for each other.
 */
const WAITING_MACHINES = 32;

const NAMES: Readonly<Record<Dimension, { readonly flag: string; readonly noun: string }>> = {
  cpu: { flag: 'cpu', noun: 'CPU' },
  memory: { flag: 'memory', noun: 'memory' },
  disk: { flag: 'disk', noun: 'disk' },
  gpu: { flag: 'gpu', noun: 'GPU' },
};

/** What the node gives to jobs: the ledger's totals, the bid's limit, the ingest's defaults. */
export interface CapacityPlan {
  /** What running executions may add up to. */
  readonly total: Resources;
  /** Most that one job may ask for. */
  readonly jobLimit: Resources;
  /** What executions that wait at the node may add up to. */
  readonly queue: Resources;
  /** What a job that says nothing asks for, clamped to `jobLimit`. */
  readonly defaults: Resources;
  /** The devices that are given to jobs: the first ones, where the total is below what was found. */
  readonly gpus: readonly Gpu[];
  /** For the start's output, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * The node's capacity from its settings and what the machine has. A blank total is 80 % of what was detected
 * (GPUs 100 %), an explicit one may be all of it, 0 is none; a blank limit of one job is the total.
 * @throws NodeError ConfigInvalid: a total above the machine's without `--ignore-physical-resource-limits`, or a
 *   limit of one job above the total. All of them in one message.
 */
export function resolveCapacity(
  config: CapacityConfig,
  jobDefaults: CapacityConfig['total'],
  detected: Detected,
): CapacityPlan {
  const faults: string[] = [];
  const warnings: string[] = [...detected.warnings];
  const total = each((dimension) => resolveTotal(dimension, config, detected, faults, warnings));
  const jobLimit = each((dimension) => {
    const value = resolve(dimension, config.job[dimension], detected[dimension], total[dimension]);
    if (value <= total[dimension]) return value;
    faults.push(
      `--limit-job-${NAMES[dimension].flag}: ${print(dimension, value)} for one job is above the total of all jobs, ${print(dimension, total[dimension])} (--limit-total-${NAMES[dimension].flag})`,
    );
    return total[dimension];
  });
  if (faults.length > 0) throw new NodeError('ConfigInvalid', faults.join('\n'));
  const gpus = detected.gpus.slice(0, total.gpu);
  if (gpus.length < total.gpu) {
    warnings.push(
      `${total.gpu} GPUs are offered but ${gpus.length} were found: jobs that are given one of the others fail`,
    );
  }
  return {
    total,
    jobLimit,
    queue: each((dimension) => total[dimension] * WAITING_MACHINES),
    defaults: each((dimension) => {
      const wanted = resolve(dimension, jobDefaults[dimension], detected[dimension], 0);
      return clampDefault(dimension, wanted, jobLimit[dimension], warnings);
    }),
    gpus,
    warnings,
  };
}

function each(value: (dimension: Dimension) => number): Resources {
  return { cpu: value('cpu'), memory: value('memory'), disk: value('disk'), gpu: value('gpu') };
}

function resolveTotal(
  dimension: Dimension,
  config: CapacityConfig,
  detected: Detected,
  faults: string[],
  warnings: string[],
): number {
  const physical = detected[dimension];
  const amount = config.total[dimension];
  const value = resolve(dimension, amount, physical, whole(dimension, physical * OFFERED[dimension]));
  const { flag, noun } = NAMES[dimension];
  if (value > physical && amount.kind !== 'auto') {
    const said = `${print(dimension, value)} is above the ${print(dimension, physical)} of this machine`;
    if (config.ignorePhysicalLimits) warnings.push(`--limit-total-${flag}: ${said}`);
    else {
      faults.push(`--limit-total-${flag}: ${said} (--ignore-physical-resource-limits accepts it)`);
    }
  }
  if (value === 0 && (dimension === 'cpu' || dimension === 'memory')) {
    warnings.push(`no ${noun} is offered, so no job will run here (--limit-total-${flag})`);
  }
  return value;
}

function resolve(dimension: Dimension, amount: Amount, physical: number, unset: number): number {
  switch (amount.kind) {
    case 'auto':
      return unset;
    case 'exact':
      return amount.value;
    case 'share':
      return whole(dimension, physical * amount.share);
  }
}

function clampDefault(dimension: Dimension, wanted: number, limit: number, warnings: string[]): number {
  if (wanted <= limit) return wanted;
  if (limit > 0) {
    warnings.push(
      `a job that states no ${NAMES[dimension].noun} asks for ${print(dimension, limit)} here instead of ${print(dimension, wanted)}: one job may have no more`,
    );
  }
  return limit;
}

/** Shares never promise a part of what cannot be split. */
function whole(dimension: Dimension, value: number): number {
  return dimension === 'cpu' ? Math.floor(value * 1000 + 1e-6) / 1000 : Math.floor(value);
}

function print(dimension: Dimension, value: number): string {
  switch (dimension) {
    case 'cpu':
      return `${value} CPUs`;
    case 'gpu':
      return `${value} GPUs`;
    case 'memory':
    case 'disk':
      return `${formatBytes(value)} of ${NAMES[dimension].noun}`;
  }
}
