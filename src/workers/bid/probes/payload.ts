import { idTimeMs } from '../../../core/ids.ts';
import type { InputSource, Task } from '../../../core/job.ts';
import type { AskedJob } from '../strategy.ts';

/** Where a probe may send a decision that it puts off. */
const APPROVE_PATH = '/api/v1/compute/approve';

/** In a millisecond. A whole number of them is written in full, although it is beyond what a double counts in ones. */
const NANOS = 1e6;

export interface PayloadOptions {
  readonly nodeId: string;
  /** "http://host:port" of this node. */
  readonly publicUrl: string;
}

/**
 * What probes are shown of a job, as JSON bytes: Bacalhau v1.2's `{NodeID, Job, Callback}` and the older
 * `{node_id, job_id, spec}` in one object, so that scripts written for either work. The older form has no contents of
 * inputs, which would double what a large inline input takes. An ask carries no times: they are those that the job's
 * and the execution's ids say, to the millisecond.
 */
export function probePayload(job: AskedJob, options: PayloadOptions): Uint8Array {
  const { header, spec } = job;
  const askedMs = idTimeMs(header.executionId) ?? Date.now();
  const createdMs = idTimeMs(header.jobId) ?? askedMs;
  // A later version of a job is newer than its id; it is asked for as soon as it is there.
  const modifiedMs = header.jobVersion > 1 ? askedMs : createdMs;
  const callback = callbackOf(options.publicUrl);
  const payload = {
    NodeID: options.nodeId,
    Job: {
      ...spec,
      Tasks: spec.Tasks.map(taskOf),
      State: { StateType: 'Pending', Message: '' },
      Version: header.jobVersion,
      Revision: 1,
      CreateTime: createdMs * NANOS,
      ModifyTime: modifiedMs * NANOS,
    },
    Callback: callback,
    node_id: options.nodeId,
    job_id: header.jobId,
    callback,
    spec: olderSpec(job, spec.Tasks[0]),
  };
  return new TextEncoder().encode(JSON.stringify(payload));
}

/** v1.2 has a null where nothing was given. */
function taskOf(task: Task): unknown {
  const { Type, Params } = task.Publisher;
  return { ...task, Publisher: { Type, Params: Params ?? null } };
}

/** Go's url.URL, as its JSON encoder writes it. */
function callbackOf(publicUrl: string): Record<string, unknown> {
  const { protocol, host } = new URL(publicUrl);
  return {
    Scheme: protocol.replace(':', ''),
    Opaque: '',
    User: null,
    Host: host,
    Path: APPROVE_PATH,
    RawPath: '',
    OmitHost: false,
    ForceQuery: false,
    RawQuery: '',
    Fragment: '',
    RawFragment: '',
  };
}

function olderSpec({ header, spec }: AskedJob, task: Task): Record<string, unknown> {
  const params = task.Engine.Params ?? {};
  const isDocker = header.engine === 'docker';
  const outputs = (task.ResultPaths ?? []).map(({ Name, Path }) => ({
    StorageSource: 'IPFS',
    Name,
    path: Path,
  }));
  const environment = list(params['EnvironmentVariables']);
  return {
    engine: header.engine,
    verifier: header.publisher === 'ipfs' ? 'ipfs' : 'noop',
    job_spec_vm: {
      image: isDocker ? text(params['Image']) : '',
      entrypoint: isDocker ? [...list(params['Entrypoint']), ...list(params['Parameters'])] : [],
    },
    inputs: (task.InputSources ?? []).map(olderInput),
    outputs,
    Engine: isDocker ? 'Docker' : capitalised(header.engine),
    Verifier: 'Noop',
    Publisher: publisherName(header.publisher),
    PublisherSpec: { Type: publisherName(header.publisher) },
    Docker: isDocker
      ? {
          Image: text(params['Image']),
          Entrypoint: list(params['Entrypoint']),
          Parameters: list(params['Parameters']),
          EnvironmentVariables: environment,
          WorkingDirectory: text(params['WorkingDirectory']),
        }
      : {},
    Wasm:
      header.engine === 'wasm'
        ? {
            EntryModule: moduleOf(task, text(params['EntryModule'])),
            EntryPoint: text(params['Entrypoint']),
            Parameters: list(params['Parameters']),
            ImportModules: list(params['ImportModules']).map((target) => moduleOf(task, target)),
          }
        : {},
    Resources: task.Resources,
    Network: task.Network,
    Timeout: header.executionTimeoutMs / 1000,
    Annotations: Object.entries(spec.Labels).map(([key, value]) => (value === '' ? key : `${key}=${value}`)),
    NodeSelectors: spec.Constraints,
    DoNotTrack: false,
    Deal: { Concurrency: spec.Count },
  };
}

/** Just the three keys of the oldest form where they say it all; never the contents. */
function olderInput({ Source, Target }: InputSource): Record<string, string> {
  const engine = Source.Type.trim().toLowerCase();
  const params = Source.Params ?? {};
  switch (engine) {
    case 'ipfs':
      return { engine, cid: text(params['CID']), path: Target };
    case 'urldownload':
      return { engine, url: text(params['URL']), path: Target };
    case 'local':
    case 'localdirectory':
      return { engine, source_path: text(params['SourcePath']), path: Target };
    default:
      return { engine, path: Target };
  }
}

function moduleOf(task: Task, target: string): Record<string, string> {
  const input = (task.InputSources ?? []).find((candidate) => candidate.Target === target);
  return input === undefined ? { path: target } : olderInput(input);
}

function publisherName(publisher: string): string {
  switch (publisher) {
    case '':
      return 'Noop';
    case 'ipfs':
    case 's3':
      return publisher.toUpperCase();
    default:
      return capitalised(publisher);
  }
}

function capitalised(word: string): string {
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function list(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
