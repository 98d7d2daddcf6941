import { executionHeader, jobHeader } from '../../core/headers.ts';
import { isCompleteId } from '../../core/ids.ts';
import type { JobSpec } from '../../core/job.ts';
import type { CheckedJob, Submission } from '../../core/ports.ts';
import { decodeBody, decodeJsonBytes } from './decode.ts';
import { Faults } from './faults.ts';
import { isObject } from './keys.ts';
import { normaliseJob } from './normalise.ts';
import type { IngestInput, IngestOptions, IngestOutput } from './protocol.ts';
import { type SubmissionDefaults, sanitise, submissionDefaults } from './sanitise.ts';
import { findJob } from './submission.ts';
import { isJobType, validateJob } from './validate.ts';

/** Checks bytes: a submission becomes a job, an ask an execution header. */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #defaults: SubmissionDefaults;
  // Its results own their memory: a Buffer of the pool would be sent with all that is beside it.
  readonly #encoder = new TextEncoder();

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#defaults = submissionDefaults(options);
  }

  /** @throws NodeError ValidationFailed (every fault, one a line, with its path), MalformedBody, BodyTooLarge */
  handle(input: IngestInput): IngestOutput {
    switch (input.kind) {
      case 'job':
        return { kind: 'job', job: this.#submitted(input.submission) };
      case 'ask':
        return this.#asked(input);
    }
  }

  #submitted(submission: Submission): CheckedJob {
    const faults = new Faults();
    const found = findJob(
      decodeBody(submission.body, submission.contentType, this.#options.bodyBytes),
      faults,
    );
    const normalised = found === undefined ? undefined : normaliseJob(found.job, 'Job', faults);
    if (normalised !== undefined) validateJob(normalised.job, 'Job', faults);
    const sane =
      normalised === undefined ? undefined : sanitise(normalised, submission, this.#defaults, faults);
    faults.throwIfAny();
    if (found === undefined || sane === undefined) throw new TypeError('a job without faults has one task');
    return {
      header: jobHeader(sane.spec, this.#options.defaultResources),
      spec: this.#encoder.encode(JSON.stringify(sane.spec)),
      warnings: found.warnings.length === 0 ? sane.warnings : [...found.warnings, ...sane.warnings],
      force: found.force,
    };
  }

  /** What a peer sends must be what a requester would have made of it: the stages after this one trust it. */
  #asked(ask: Extract<IngestInput, { kind: 'ask' }>): IngestOutput {
    const faults = new Faults();
    requireId(ask.executionId, 'e-', 'executionId', faults);
    requireId(ask.jobId, 'j-', 'jobId', faults);
    if (!Number.isSafeInteger(ask.jobVersion) || ask.jobVersion < 0) {
      faults.add('jobVersion', 'expected a whole number');
    }
    const sent = decodeJsonBytes(ask.spec);
    const { job } = normaliseJob(sent, 'Job', faults);
    validateJob(job, 'Job', faults);
    if (job.ID !== ask.jobId) faults.add('Job.ID', 'expected the id of the job that is asked for');
    if (job.Tasks.length > 1) faults.add('Job.Tasks', 'expected exactly one task');
    faults.throwIfAny();
    requireSame(sent, job, 'Job', faults);
    faults.throwIfAny();
    const [task] = job.Tasks;
    if (task === undefined || !isJobType(job.Type)) throw new TypeError('a job without faults has one task');
    const spec: JobSpec = { ...job, Type: job.Type, Tasks: [task] };
    return { kind: 'ask', header: executionHeader(spec, ask, this.#options.defaultResources) };
  }
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
    for (const [index, element] of normal.entries()) {
      requireSame(sent[index], element, `${path}[${index}]`, faults);
    }
  } else if (isObject(normal) && isObject(sent)) {
    for (const key in normal) {
      requireSame(Object.hasOwn(sent, key) ? sent[key] : undefined, normal[key], `${path}.${key}`, faults);
    }
  } else faults.add(path, 'is not in its normal form (expected a job as a requester stores it)');
}
