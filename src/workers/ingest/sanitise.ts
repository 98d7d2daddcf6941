import { typeKey } from '../../core/headers.ts';
import { newJobId } from '../../core/ids.ts';
import type { JobSpec, Resources, ResourcesConfig, SpecConfig, Task } from '../../core/job.ts';
import type { Submission } from '../../core/ports.ts';
import type { Faults } from '../checks/faults.ts';
import type { DraftJob, NormalisedJob } from '../checks/normalise.ts';
import { isJobType } from '../checks/validate.ts';
import type { IngestOptions } from './protocol.ts';

/** Meta keys that begin so belong to the nodes. */
const META_RESERVED = 'bacalhau.org/';
/** Publisher types that say "publish nothing", as opposed to saying nothing. */
const NO_PUBLISHER: ReadonlySet<string> = new Set(['none', 'noop']);
/** Ids come from request headers: anything longer or stranger is no id. */
const CLIENT_ID = /^[\x21-\x7e]{1,256}$/;
/** A sentence each; a job with more is answered with the first of them. */
const WARNINGS_KEPT = 50;

/** What a node fills in for everybody who submits to it. Made once a thread. */
export interface SubmissionDefaults {
  readonly resources: ResourcesConfig;
  readonly publisher: SpecConfig;
  readonly meta: Readonly<Record<string, string>>;
}

export function submissionDefaults(options: IngestOptions): SubmissionDefaults {
  const publisher = options.defaultPublisher.trim();
  return {
    resources: resourcesText(options.defaultResources),
    publisher: { Type: NO_PUBLISHER.has(typeKey(publisher)) ? '' : publisher },
    meta: {
      'bacalhau.org/orchestrator.id': options.nodeId,
      'bacalhau.org/requester.id': options.nodeId,
      'bacalhau.org/server.instance.id': options.instanceId,
    },
  };
}

/** A submitted job that is checked, with all a requester adds. */
export interface SanitisedJob {
  readonly spec: JobSpec;
  readonly warnings: string[];
}

/**
 * Drops what a submitter may not set, each with a warning, and fills in what the requester sets: Bacalhau v1.9's
 * `SanitizeSubmission` and job transformers.
 */
export function sanitise(
  { job, server, warnings: translated }: NormalisedJob,
  submission: Submission,
  defaults: SubmissionDefaults,
  faults: Faults,
): SanitisedJob | undefined {
  const warnings = [...translated];
  const ignored = (what: string): number => warnings.push(`job ${what} is ignored when submitting a job`);
  if (server.state) ignored('state');
  if (server.revision) ignored('revision');
  if (server.version) ignored('version');
  if (server.createTime) ignored('create time');
  if (server.modifyTime) ignored('modify time');
  if (job.ID !== '') warnings.push(`job ID is ignored when submitting a ${job.Type} job`);
  if (job.Tasks.length > 1) warnings.push('only one task is supported per job');
  const first = job.Tasks[0];
  if (first === undefined || !isJobType(job.Type)) return undefined;
  const task = completeTask(first, defaults, faults);
  const id = newJobId();
  const spec: JobSpec = {
    ID: id,
    Name: job.Name === '' ? id : job.Name,
    Namespace: job.Namespace,
    Type: job.Type,
    Priority: job.Priority,
    Count: job.Count,
    Constraints: job.Constraints,
    Meta: completeMeta(job, submission, defaults, warnings),
    Labels: job.Labels,
    Tasks: [task],
  };
  return { spec, warnings: warnings.slice(0, WARNINGS_KEPT) };
}

function completeTask(task: Task, defaults: SubmissionDefaults, faults: Faults): Task {
  const silent = task.Publisher.Type === '';
  const none = NO_PUBLISHER.has(typeKey(task.Publisher.Type));
  const publisher = silent ? { ...defaults.publisher } : none ? { Type: '' } : task.Publisher;
  if (silent && publisher.Type === '' && task.ResultPaths !== undefined) {
    faults.add(
      'Job.Tasks[0].Publisher',
      'a job with ResultPaths needs a publisher (expected one such as {"Type": "ipfs"} or {"Type": "local"}, or {"Type": "none"} to leave the results unpublished)',
    );
  }
  return {
    ...task,
    Publisher: publisher,
    Resources: completeResources(task.Resources, defaults.resources),
  };
}

function completeResources(asked: ResourcesConfig, defaults: ResourcesConfig): ResourcesConfig {
  const resources: ResourcesConfig = {};
  for (const key of ['CPU', 'Memory', 'Disk', 'GPU'] as const) {
    const value = asked[key] ?? defaults[key];
    if (value !== undefined) resources[key] = value;
  }
  return resources;
}

function completeMeta(
  job: DraftJob,
  submission: Submission,
  defaults: SubmissionDefaults,
  warnings: string[],
): Record<string, string> {
  const meta: Record<string, string> = {};
  for (const key in job.Meta) {
    if (key.startsWith(META_RESERVED)) warnings.push(`job meta key ${key} is reserved and is ignored`);
    else meta[key] = job.Meta[key] ?? '';
  }
  const { clientInstallationId, clientInstanceId } = submission;
  if (CLIENT_ID.test(clientInstallationId)) {
    meta['bacalhau.org/client.installation.id'] = clientInstallationId;
  }
  if (CLIENT_ID.test(clientInstanceId)) meta['bacalhau.org/client.instance.id'] = clientInstanceId;
  const plain = Object.assign(meta, defaults.meta);
  for (const key in job.Meta) if (!key.startsWith(META_RESERVED)) return inOrder(plain);
  return plain;
}

/** The reserved keys alone are in order already. */
function inOrder(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Resources as people write them: "500m", "512mb". Nothing of a dimension is no text. */
function resourcesText(resources: Resources): ResourcesConfig {
  const text: ResourcesConfig = {};
  const millis = Math.round(resources.cpu * 1000);
  if (millis > 0) text.CPU = millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`;
  if (resources.memory > 0) text.Memory = bytesText(resources.memory);
  if (resources.disk > 0) text.Disk = bytesText(resources.disk);
  if (resources.gpu > 0) text.GPU = String(resources.gpu);
  return text;
}

function bytesText(bytes: number): string {
  if (bytes % 1e9 === 0) return `${bytes / 1e9}gb`;
  return bytes % 1e6 === 0 ? `${bytes / 1e6}mb` : String(bytes);
}
