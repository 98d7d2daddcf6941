import { type AskedExecution, executionHeader } from '../../core/headers.ts';
import { isCompleteId } from '../../core/ids.ts';
import type { ExecutionHeader } from '../../core/item.ts';
import type { JobSpec, Resources } from '../../core/job.ts';
import { Faults } from './faults.ts';
import { decodeJsonBytes } from './json.ts';
import { isObject } from './keys.ts';
import { normaliseJob } from './normalise.ts';
import { isJobType, validateJob } from './validate.ts';

/** An ask whose job is one that a requester may have stored. */
export interface CheckedAsk {
  readonly header: ExecutionHeader;
  readonly spec: JobSpec;
}

/**
 * What a peer sends must be what a requester would have made of it: everything after this trusts it.
 * @param bytes JobSpec JSON as the peer sent it
 * @param defaultResources what a job asks for that says nothing
 * @throws NodeError ValidationFailed (every fault, one a line, with its path), MalformedBody
 */
export function checkAsk(asked: AskedExecution, bytes: Uint8Array, defaultResources: Resources): CheckedAsk {
  const faults = new Faults();
  requireId(asked.executionId, 'e-', 'executionId', faults);
  requireId(asked.jobId, 'j-', 'jobId', faults);
  if (!Number.isSafeInteger(asked.jobVersion) || asked.jobVersion < 0) {
    faults.add('jobVersion', 'expected a whole number');
  }
  const sent = decodeJsonBytes(bytes);
  const { job } = normaliseJob(sent, 'Job', faults);
  validateJob(job, 'Job', faults);
  if (job.ID !== asked.jobId) faults.add('Job.ID', 'expected the id of the job that is asked for');
  if (job.Tasks.length > 1) faults.add('Job.Tasks', 'expected exactly one task');
  faults.throwIfAny();
  requireSame(sent, job, 'Job', faults);
  faults.throwIfAny();
  const [task] = job.Tasks;
  if (task === undefined || !isJobType(job.Type)) throw new TypeError('a job without faults has one task');
  const spec: JobSpec = { ...job, Type: job.Type, Tasks: [task] };
  return { header: executionHeader(spec, asked, defaultResources), spec };
}

/** Ids become parts of paths and of store keys. */
function requireId(id: string, prefix: string, path: string, faults: Faults): void {
  if (typeof id !== 'string' || !id.startsWith(prefix) || !isCompleteId(id)) {
    faults.add(path, `expected "${prefix}<uuid>"`);
  }
}

/** A fault for every field of `normal` that `sent` does not hold just so. Fields that only `sent` has are ignored. */
function requireSame(sent: unknown, normal: unknown, path: string, faults: Faults): void {
  if (sent === normal) return;
  if (Array.isArray(normal) && Array.isArray(sent) && normal.length === sent.length) {
    for (let index = 0; index < normal.length; index += 1) {
      if (sent[index] !== normal[index]) requireSame(sent[index], normal[index], `${path}[${index}]`, faults);
    }
  } else if (isObject(normal) && isObject(sent)) {
    for (const key in normal) {
      const value = Object.hasOwn(sent, key) ? sent[key] : undefined;
      // The path is made only where there is something to look at: most fields are the same text.
      if (value !== normal[key]) requireSame(value, normal[key], `${path}.${key}`, faults);
    }
  } else faults.add(path, 'is not in its normal form (expected a job as a requester stores it)');
}
