import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../core/clock.ts';
import { NodeError } from '../core/errors.ts';
import { jobHeader } from '../core/headers.ts';
import type { JobId } from '../core/ids.ts';
import type { JobSpec, Resources } from '../core/job.ts';
import type { CheckedJob, JobHeader, SubmitResult } from '../core/ports.ts';
import type { EvaluationTrigger, JobRecord } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { Broker } from './broker.ts';
import type { LiveJob } from './change.ts';
import {
  type JobEvent,
  jobRerun,
  jobStopRequested,
  jobSubmitted,
  jobUpdated,
  stopReasons,
} from './events.ts';
import { type Lives, makeLive, newTicket } from './lives.ts';
import type { Planner } from './planner.ts';

const RESERVED_META = 'bacalhau.org/';
const utf8 = new TextDecoder();

/** The spec of stored bytes: they were checked before they were stored. */
export function parseSpec(bytes: Uint8Array): JobSpec {
  return JSON.parse(utf8.decode(bytes)) as JobSpec;
}

/** What its owner wrote of a spec: without its id and what servers add. */
export function ownPart(spec: JobSpec): Omit<JobSpec, 'ID'> {
  const { ID: _, ...own } = spec;
  const Meta = Object.fromEntries(
    Object.entries(spec.Meta).filter(([key]) => !key.startsWith(RESERVED_META)),
  );
  return { ...own, Meta };
}

/** What a record takes from the header of its job's version. */
function fieldsOf({
  id: _id,
  name: _name,
  namespace: _namespace,
  ...fields
}: JobHeader): Omit<JobHeader, 'id' | 'name' | 'namespace'> {
  return fields;
}

interface NewVersion {
  readonly header: JobHeader;
  readonly spec: Uint8Array;
  readonly trigger: EvaluationTrigger;
  readonly event: JobEvent;
}

/** Submit, update, run again and stop: what people ask of jobs. */
export class Submissions {
  readonly #store: RequesterStore;
  readonly #clock: Clock;
  readonly #lives: Lives;
  readonly #planner: Planner;
  readonly #broker: Broker;
  readonly #defaultResources: Resources;

  constructor(
    options: { readonly defaultResources: Resources },
    modules: {
      readonly store: RequesterStore;
      readonly clock: Clock;
      readonly lives: Lives;
      readonly planner: Planner;
      readonly broker: Broker;
    },
  ) {
    this.#defaultResources = options.defaultResources;
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#lives = modules.lives;
    this.#planner = modules.planner;
    this.#broker = modules.broker;
  }

  /** Resolves when the job is on disk; its first ask is on its way before that. @throws NodeError JobUnchanged */
  async submit(job: CheckedJob): Promise<SubmitResult> {
    const { header, warnings } = job;
    const existing =
      header.name === header.id ? undefined : this.#store.byName(header.namespace, header.name);
    const live = existing === undefined ? this.#create(job) : this.#update(existing, job);
    const evaluationId = live.ticket.id;
    await this.#store.flushed();
    return { jobId: live.id, evaluationId, warnings };
  }

  /** Ends the job and its executions. @throws NodeError JobStateConflict */
  async stop(id: JobId, reason: string): Promise<{ evaluationId: string }> {
    const live = this.#lives.load(id);
    if (live === undefined) throw new NodeError('JobNotFound', `job not found: ${id}`);
    const { type } = live.record.state;
    let evaluationId = '';
    if (type === 'Completed') {
      throw new NodeError('JobStateConflict', 'cannot stop job in state Completed', {
        details: { JobID: id },
      });
    }
    if (type !== 'Stopped') {
      const change = this.#planner.begin(live);
      change.jobEvent(jobStopRequested(reason), type, 'Stopped');
      for (const execution of change.active()) change.cancel(execution, stopReasons.jobStopped);
      change.setJobState('Stopped', reason);
      change.unblock('cancelled');
      if (type !== 'Failed') evaluationId = newTicket(live.record, 'job-cancel', change.time).id;
      this.#planner.commit(change);
      this.#broker.wake();
    }
    await this.#store.flushed();
    return { evaluationId };
  }

  /** A new version of the job with the spec of `version`; 0 means the latest. @throws NodeError JobStateConflict, JobNotFound */
  async rerun(id: JobId, version: number, reason: string): Promise<SubmitResult & { jobVersion: number }> {
    const live = this.#lives.load(id);
    if (live === undefined) throw new NodeError('JobNotFound', `job not found: ${id}`);
    const { type } = live.record.state;
    if (type === 'Pending' || type === 'Queued') {
      throw new NodeError('JobStateConflict', `cannot rerun job in state ${type}`, {
        details: { JobID: id },
      });
    }
    const wanted = version === 0 ? live.record.version : version;
    const spec = this.#store.spec(id, wanted);
    if (spec === undefined) throw new NodeError('JobNotFound', `job not found: ${id} version ${wanted}`);
    const header = jobHeader(parseSpec(spec), this.#defaultResources);
    this.#newVersion(live, { header, spec, trigger: 'job-rerun', event: jobRerun(reason) });
    const answer = {
      jobId: id,
      evaluationId: live.ticket.id,
      warnings: [],
      jobVersion: live.record.version,
    };
    await this.#store.flushed();
    return answer;
  }

  #create({ header, spec }: CheckedJob): LiveJob {
    const time = this.#clock.nowMicros();
    const record: JobRecord = {
      ...header,
      state: { type: 'Pending', message: '' },
      version: 1,
      revision: 1,
      createTime: time,
      modifyTime: time,
    };
    const live = makeLive(record, undefined, []);
    live.ticket = newTicket(record, 'job-register', time);
    const change = this.#planner.begin(live, true);
    change.spec = spec;
    change.jobEvent(jobSubmitted, '', 'Pending');
    this.#planner.settle(change, this.#broker.gate(record.priority));
    return live;
  }

  #update(id: JobId, { header, spec, force }: CheckedJob): LiveJob {
    const live = this.#lives.load(id);
    const before = live === undefined ? undefined : this.#store.spec(id, live.record.version);
    if (live === undefined || before === undefined)
      throw new NodeError('JobNotFound', `job not found: ${id}`);
    const next: JobSpec = { ...parseSpec(spec), ID: id };
    if (!force && isDeepStrictEqual(ownPart(parseSpec(before)), ownPart(next))) {
      throw new NodeError(
        'JobUnchanged',
        `no changes detected for new job spec. Job Name: '${header.name}', Job Id: '${id}'`,
      );
    }
    const bytes = new TextEncoder().encode(JSON.stringify(next));
    this.#newVersion(live, { header, spec: bytes, trigger: 'job-update', event: jobUpdated });
    return live;
  }

  /** In two changes: the new version with a pending wish, then what the wish leads to. */
  #newVersion(live: LiveJob, { header, spec, trigger, event }: NewVersion): void {
    const change = this.#planner.begin(live);
    const from = live.record.state.type;
    for (const execution of change.active()) change.cancel(execution, stopReasons.jobUpdated);
    change.updateJob({ ...fieldsOf(header), version: live.record.version + 1 });
    change.renew(newTicket(change.record, trigger, change.time));
    change.pend();
    change.since = change.time;
    change.spec = spec;
    change.jobEvent(event, from, 'Pending');
    change.setJobState('Pending');
    this.#planner.commit(change);
    const gate = this.#broker.gate(header.priority);
    this.#planner.settle(this.#planner.begin(live), gate);
    this.#broker.wake();
  }
}
