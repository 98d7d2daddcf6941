import { jobHeader } from '../../core/headers.ts';
import type { CheckedJob, Submission } from '../../core/ports.ts';
import { bidFacts, isSelfContained } from '../checks/facts.ts';
import { Faults } from '../checks/faults.ts';
import { normaliseJob } from '../checks/normalise.ts';
import { validateJob } from '../checks/validate.ts';
import { decodeBody } from './decode.ts';
import type { IngestOptions } from './protocol.ts';
import { type SubmissionDefaults, sanitise, submissionDefaults } from './sanitise.ts';
import { findJob } from './submission.ts';

/** Checks bytes: a submission becomes a job. */
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
  handle(submission: Submission): CheckedJob {
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
    const facts = bidFacts(sane.spec.Tasks[0]);
    return {
      header: jobHeader(sane.spec, this.#options.defaultResources, isSelfContained(facts) ? facts : null),
      spec: this.#encoder.encode(JSON.stringify(sane.spec)),
      warnings: found.warnings.length === 0 ? sane.warnings : [...found.warnings, ...sane.warnings],
      force: found.force,
    };
  }
}
