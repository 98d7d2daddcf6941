import { Readable } from 'node:stream';
import { NodeError } from '../../src/core/errors.ts';
import type { ExecutionId, JobId } from '../../src/core/ids.ts';
import type { JobSpec, SpecConfig } from '../../src/core/job.ts';
import type { NodeInfo } from '../../src/core/node-info.ts';
import type {
  CheckedJob,
  ComputePort,
  IngestPort,
  LocalExecutionView,
  LogChunk,
  LogOptions,
  NodePort,
  OpenedArchive,
  Submission,
  SubmitResult,
} from '../../src/core/ports.ts';
import type { LocalExecutionState } from '../../src/core/states.ts';
import type { ApiOptions } from '../../src/net/api/options.ts';
import type {
  HistoryPage,
  HistoryQuery,
  JobListQuery,
  JobView,
  NodeView,
  RequesterService,
} from '../../src/requester/service.ts';
import type { JobRecord, RequesterExecution } from '../../src/store/records.ts';
import { createLogger, type Logger } from '../../src/telemetry/logger.ts';

export const silent: Logger = createLogger({ level: 'silent', mode: 'json', colour: false });

export const apiOptions: ApiOptions = {
  build: {
    gitVersion: 'v1.9.3',
    gitCommit: 'a'.repeat(40),
    buildDate: '1970-01-01T00:00:00Z',
    os: 'linux',
    arch: 'amd64',
  },
  limits: {
    bodyBytes: 1_000_000,
    logReaders: 8,
    logBufferBytes: 65_536,
    eventSubscribers: 8,
    eventBufferBytes: 65_536,
  },
  requestsPerSecond: 0,
  maxConnections: 256,
  requestTimeoutMs: 10_000,
  allowedOrigins: [],
};

export const JOB_ID: JobId = 'j-0197a1b2-c3d4-7000-8000-000000000001';
export const EXECUTION_ID: ExecutionId = 'e-0197a1b2-c3d4-7000-8000-000000000002';

export function exampleSpec(id: JobId = JOB_ID): JobSpec {
  return {
    ID: id,
    Name: id,
    Namespace: 'default',
    Type: 'batch',
    Priority: 0,
    Count: 1,
    Constraints: [],
    Meta: {},
    Labels: {},
    Tasks: [
      {
        Name: 'main',
        Engine: { Type: 'mock', Params: { Duration: '1ms' } },
        Publisher: { Type: '' },
        Resources: { CPU: '500m', Memory: '512mb' },
        Network: { Type: 'Default' },
        Timeouts: {},
      },
    ],
  };
}

export function exampleRecord(id: JobId = JOB_ID): JobRecord {
  return {
    id,
    name: id,
    namespace: 'default',
    type: 'batch',
    priority: 0,
    count: 1,
    labels: {},
    constraints: [],
    state: { type: 'Completed', message: '' },
    version: 1,
    revision: 3,
    createTime: 1_795_361_244_852_047,
    modifyTime: 1_795_361_244_869_444,
    engine: 'mock',
    publisher: '',
    storages: [],
    resources: { cpu: 0.5, memory: 512_000_000, disk: 0, gpu: 0 },
    executionTimeoutMs: 0,
    queueTimeoutMs: 0,
    totalTimeoutMs: 0,
    fileless: false,
  };
}

/** A requester that answers what a test says and remembers what it was asked. */
export class ScriptedRequester implements RequesterService {
  readonly calls: { method: string; arguments: unknown[] }[] = [];
  /** Thrown by every call while set. */
  error: Error | undefined;
  views: JobView[] = [{ record: exampleRecord(), spec: exampleSpec() }];
  more = false;
  page: HistoryPage = { items: [], nextOffset: undefined };
  rows: RequesterExecution[] = [];
  published: SpecConfig[] = [];
  evaluationId = 'eval-1';
  known: NodeView[] = [];
  chunks: (signal: AbortSignal, options: LogOptions) => AsyncIterable<LogChunk> = async function* () {};

  #called<T>(method: string, arguments_: unknown[], answer: () => T): T {
    this.calls.push({ method, arguments: arguments_ });
    if (this.error !== undefined) throw this.error;
    return answer();
  }

  #first(): JobView {
    const view = this.views[0];
    if (view === undefined) throw new NodeError('JobNotFound', 'job not found: nothing was scripted');
    return view;
  }

  async submit(job: CheckedJob): Promise<SubmitResult> {
    return this.#called('submit', [job], () => ({
      jobId: JOB_ID,
      evaluationId: this.evaluationId,
      warnings: [],
    }));
  }
  async job(id: string, namespace: string, version?: number): Promise<JobView> {
    return this.#called('job', [id, namespace, version], () => {
      return this.views.find((view) => view.record.version === version) ?? this.#first();
    });
  }
  async jobs(query: JobListQuery): Promise<{ items: JobView[]; more: boolean }> {
    return this.#called('jobs', [query], () => ({ items: this.views, more: this.more }));
  }
  async versions(id: string, namespace: string): Promise<JobView[]> {
    return this.#called('versions', [id, namespace], () => this.views);
  }
  async history(id: string, namespace: string, query: HistoryQuery): Promise<HistoryPage> {
    return this.#called('history', [id, namespace, query], () => this.page);
  }
  async executions(id: string, namespace: string, query: unknown): Promise<RequesterExecution[]> {
    return this.#called('executions', [id, namespace, query], () => this.rows);
  }
  async results(id: string, namespace: string): Promise<SpecConfig[]> {
    return this.#called('results', [id, namespace], () => this.published);
  }
  async openResults(jobId: string, executionId: string): Promise<OpenedArchive> {
    return this.#called('openResults', [jobId, executionId], () => ({
      stream: Readable.from([Buffer.from('an archive')]),
      bytes: 10,
    }));
  }
  async stop(id: string, namespace: string, reason: string): Promise<{ evaluationId: string }> {
    return this.#called('stop', [id, namespace, reason], () => ({ evaluationId: this.evaluationId }));
  }
  async rerun(
    id: string,
    namespace: string,
    version: number,
    reason: string,
  ): Promise<SubmitResult & { jobVersion: number }> {
    return this.#called('rerun', [id, namespace, version, reason], () => ({
      jobId: JOB_ID,
      evaluationId: this.evaluationId,
      warnings: [],
      jobVersion: 2,
    }));
  }
  async diff(job: CheckedJob): Promise<{ diff: string; warnings: readonly string[] }> {
    return this.#called('diff', [job], () => ({ diff: '+a', warnings: [] }));
  }
  nodes(): NodeView[] {
    return this.#called('nodes', [], () => this.known);
  }
  node(id: string): NodeView {
    return this.#called('node', [id], () => {
      const found = this.known.find((view) => view.info.nodeId.startsWith(id));
      if (found === undefined) throw new NodeError('NodeNotFound', `node not found: ${id}`);
      return found;
    });
  }
  async setNode(id: string, action: string, message: string): Promise<void> {
    return this.#called('setNode', [id, action, message], () => undefined);
  }
  logs(
    id: string,
    namespace: string,
    executionId: ExecutionId,
    options: LogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk> {
    return this.#called('logs', [id, namespace, executionId, options], () => this.chunks(signal, options));
  }
  async ended(): Promise<JobRecord> {
    return this.#first().record;
  }
}

/** An ingest stage that takes everything, or throws what a test says. */
export class ScriptedIngest implements IngestPort {
  readonly submissions: Submission[] = [];
  error: Error | undefined;
  result: SubmitResult = { jobId: JOB_ID, evaluationId: 'eval-1', warnings: [] };
  /** Name of the job that `check` finds. */
  name = 'named';
  /** Held back until it resolves. */
  gate: Promise<void> = Promise.resolve();

  async submit(submission: Submission): Promise<SubmitResult> {
    this.submissions.push(submission);
    await this.gate;
    if (this.error !== undefined) throw this.error;
    return this.result;
  }
  async check(submission: Submission): Promise<CheckedJob> {
    await this.submit(submission);
    const { resources, labels, constraints } = exampleRecord();
    return {
      header: {
        id: JOB_ID,
        name: this.name,
        namespace: 'default',
        type: 'batch',
        priority: 0,
        count: 1,
        labels,
        constraints,
        engine: 'mock',
        publisher: '',
        storages: [],
        resources,
        executionTimeoutMs: 0,
        queueTimeoutMs: 0,
        totalTimeoutMs: 0,
        fileless: false,
        inputs: [],
        facts: null,
      },
      spec: Buffer.from(JSON.stringify(exampleSpec())),
      warnings: [],
      force: false,
    };
  }
}

/** A compute role with one archive in memory. */
export class ScriptedCompute implements ComputePort {
  readonly calls: { states?: readonly LocalExecutionState[]; limit: number }[] = [];
  readonly opened: string[] = [];
  views: LocalExecutionView[] = [];
  archive: Buffer = Buffer.from('archive');
  /** Instead of the archive's own stream. */
  stream: (() => Readable) | undefined;

  async executions(options: {
    states?: readonly LocalExecutionState[];
    limit: number;
  }): Promise<LocalExecutionView[]> {
    this.calls.push(options);
    return this.views;
  }
  async openArchive(executionId: ExecutionId): Promise<{ stream: Readable; bytes: number }> {
    this.opened.push(executionId);
    if (executionId !== EXECUTION_ID) {
      throw new NodeError('ExecutionNotFound', `no archive of execution ${executionId}`);
    }
    const stream = this.stream?.() ?? Readable.from([this.archive]);
    return { stream, bytes: this.archive.byteLength };
  }
  logs: (executionId: ExecutionId, options: LogOptions) => AsyncIterable<LogChunk> = async function* () {};
}

export const exampleNode: NodeInfo = {
  nodeId: 'n-768c4531-0135-42fd-9706-af06083ca04c',
  roles: { compute: true, requester: true },
  labels: { name: 'n-768c4531-0135-42fd-9706-af06083ca04c', os_arch: 'amd64', os_type: 'linux' },
  version: 'v1.9.3',
  compute: {
    engines: ['wasm', 'docker'],
    publishers: ['noop', 'local', 's3managed'],
    storages: ['urldownload', 'inline'],
    maxCapacity: { cpu: 2, memory: 20_221_201_612, disk: 202_137_688_473, gpu: 0 },
    queueCapacity: { cpu: 0, memory: 0, disk: 0, gpu: 0 },
    promisedCapacity: { cpu: 0, memory: 0, disk: 0, gpu: 0 },
    queuedCapacity: { cpu: 0, memory: 0, disk: 0, gpu: 0 },
    availableCapacity: { cpu: 2, memory: 20_221_201_612, disk: 202_137_688_473, gpu: 0 },
    maxJobRequirements: { cpu: 2, memory: 20_221_201_612, disk: 202_137_688_473, gpu: 0 },
    gpus: [],
    runningExecutions: 0,
    enqueuedExecutions: 0,
    offeredExecutions: 0,
    openSlots: 8,
    openCapacity: { cpu: 2, memory: 20_221_201_612, disk: 202_137_688_473, gpu: 0 },
  },
};

/** Facts about a node that does not exist. */
export class ScriptedNode implements NodePort {
  nodeId = exampleNode.nodeId;
  own: NodeInfo = exampleNode;
  configuration: unknown = { API: { Host: '127.0.0.1', Port: 1234 } };
  text = '# nothing\n';
  readonly fetched: string[] = [];
  content: (signal: AbortSignal) => Promise<Readable> = async () => Readable.from([Buffer.from('content')]);

  info(): NodeInfo {
    return this.own;
  }
  config(): unknown {
    return this.configuration;
  }
  debug(): Record<string, unknown> {
    return { ledger: { free: 1 } };
  }
  async metrics(): Promise<string> {
    return this.text;
  }
  async ipfsArchive(cid: string, signal: AbortSignal): Promise<Readable> {
    this.fetched.push(cid);
    return this.content(signal);
  }
}
