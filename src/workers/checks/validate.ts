import type { JobType, LabelSelectorRequirement } from '../../core/job.ts';
import type { Faults } from './faults.ts';
import { validateName } from './names.ts';
import type { DraftJob } from './normalise.ts';
import { validateTask } from './validate-task.ts';

const JOB_TYPES: ReadonlySet<string> = new Set<JobType>(['batch', 'ops', 'service', 'daemon']);
/** Go's int32: more replicas than any network has nodes. */
const MOST_REPLICAS = 2_147_483_647;
type Arity = 'none' | 'one' | 'some';

/** How many values each operator of a constraint takes. */
const OPERATORS: ReadonlyMap<string, Arity> = new Map([
  ['!', 'none'],
  ['exists', 'none'],
  ['=', 'one'],
  ['==', 'one'],
  ['!=', 'one'],
  ['gt', 'one'],
  ['lt', 'one'],
  ['in', 'some'],
  ['notin', 'some'],
]);

/** True when `type` is one of the wire's four, in lower case as the wire has it. */
export function isJobType(type: string): type is JobType {
  return JOB_TYPES.has(type);
}

/**
 * Every rule of Bacalhau v1.9's `Job.ValidateSubmission` and `Task.ValidateSubmission`, and what the engines
 * and the node's own stores need besides. Each rule that does not hold is a fault with the field's path.
 */
export function validateJob(job: DraftJob, path: string, faults: Faults): void {
  if (job.Type === '') {
    faults.missing(path, 'Type', 'missing job type (expected batch, ops, service or daemon)');
  } else if (!isJobType(job.Type)) {
    faults.add(
      `${path}.Type`,
      `invalid job type: ${JSON.stringify(job.Type)} (expected batch, ops, service or daemon)`,
    );
  }
  validateName(job.Name, `${path}.Name`, faults);
  validateName(job.Namespace, `${path}.Namespace`, faults);
  if (job.Namespace === '*') faults.add(`${path}.Namespace`, '"*" stands for all namespaces and names none');
  validateCount(job, `${path}.Count`, faults);
  for (const [index, requirement] of job.Constraints.entries()) {
    validateRequirement(requirement, `${path}.Constraints[${index}]`, faults);
  }
  for (const [index, task] of job.Tasks.entries()) validateTask(task, `${path}.Tasks[${index}]`, faults);
}

function validateCount(job: DraftJob, path: string, faults: Faults): void {
  if (job.Count < 0) faults.add(path, `job count must be >= 0 (got ${job.Count})`);
  else if ((job.Type === 'ops' || job.Type === 'daemon') && job.Count > 1) {
    faults.add(
      path,
      `must be 0 or absent for a job of type ${job.Type}, which runs on every matching node (got ${job.Count})`,
    );
  } else if (job.Count > MOST_REPLICAS) {
    faults.add(path, `job count must be <= ${MOST_REPLICAS} (got ${job.Count})`);
  }
}

function validateRequirement(requirement: LabelSelectorRequirement, path: string, faults: Faults): void {
  if (requirement.Key.trim() === '')
    faults.missing(path, 'Key', 'missing (expected the name of a node label)');
  const arity = OPERATORS.get(requirement.Operator);
  const count = requirement.Values?.length ?? 0;
  const at = `${path}.Values`;
  const operator = JSON.stringify(requirement.Operator);
  switch (arity) {
    case undefined:
      faults.add(
        `${path}.Operator`,
        `unknown operator ${operator} (expected one of ${[...OPERATORS.keys()].join(', ')})`,
      );
      return;
    case 'none':
      if (count !== 0) faults.add(at, `operator ${operator} takes no values (got ${count})`);
      return;
    case 'some':
      if (count === 0) faults.add(at, `operator ${operator} needs at least one value`);
      return;
    case 'one':
      if (count !== 1) faults.add(at, `operator ${operator} takes exactly one value (got ${count})`);
      else if ((requirement.Operator === 'gt' || requirement.Operator === 'lt') && !isInteger(requirement)) {
        faults.add(at, `operator ${operator} takes a whole number`);
      }
      return;
  }
}

function isInteger(requirement: LabelSelectorRequirement): boolean {
  return /^-?\d+$/.test(requirement.Values?.[0] ?? '');
}
