import type { Clock } from '../core/clock.ts';
import { NodeError } from '../core/errors.ts';
import type { ExecutionId, JobId, NodeId } from '../core/ids.ts';
import type { Resources, SpecConfig } from '../core/job.ts';
import type { Component } from '../core/lifecycle.ts';
import type { Limits } from '../core/limits.ts';
import type {
  AskForBid,
  ComputeBound,
  KnownSpec,
  MessageHandler,
  RefusalListener,
  RequesterBound,
} from '../core/messages.ts';
import type { CheckedJob, LogChunk, OpenedArchive, OutputPort, SubmitResult } from '../core/ports.ts';
import { isComputeTerminal, isJobTerminal } from '../core/states.ts';
import type { JobRecord, RequesterExecution } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Broker } from './broker.ts';
import type { LiveJob } from './change.ts';
import { Deadlines } from './deadlines.ts';
import { diffText } from './diff.ts';
import { stopReasons } from './events.ts';
import { Inbox } from './inbox.ts';
import { Lives } from './lives.ts';
import { Logs, outOfReach } from './logs.ts';
import { type ExecutionQuery, Lookup, type LookupOptions } from './lookup.ts';
import { Nodes } from './nodes.ts';
import { type AskPort, Planner } from './planner.ts';
import { Reach, type ReachOptions } from './reach.ts';
import { Recovery } from './recovery.ts';
import type {
  HistoryPage,
  HistoryQuery,
  JobListQuery,
  JobLogOptions,
  JobView,
  NodeView,
  RequesterService,
} from './service.ts';
import { ownPart, parseSpec, Submissions } from './submissions.ts';
import { Watchers } from './watchers.ts';

export interface RequesterOptions extends ReachOptions, LookupOptions {
  readonly limits: Pick<Limits, 'asksInFlight' | 'nodes'>;
  /** What a job that states no resources asks for. */
  readonly defaultResources: Resources;
  /** How often a job's run is started at most, for each of its Count. */
  readonly maxAttempts: number;
  /** How often a lost run (its node died, or forgot it) is started again on top of that. */
  readonly maxLost: number;
  /** Waiting jobs looked at when room is found. */
  readonly windowSize: number;
  /** How long the first of the line may be overtaken before a node is kept free for it. */
  readonly overtakeMs: number;
  /** Jobs kept in memory of those whose nodes have the next word; others are read again when it comes. */
  readonly restingJobs: number;
}

/** What suits a node of any size. */
export const requesterDefaults: Omit<
  RequesterOptions,
  'limits' | 'defaultResources' | keyof LookupOptions | keyof ReachOptions
> = {
  maxAttempts: 2,
  maxLost: 5,
  windowSize: 256,
  overtakeMs: 30_000,
  // 2 KB each: twice what one node with its own defaults takes up.
  restingJobs: 8192,
};

export interface RequesterModules {
  readonly store: RequesterStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Carrier of the messages in the store's outbox. */
  readonly asks: AskPort;
  /** Where logs and results of a node's executions are read; undefined when the node is out of reach. */
  readonly outputs: (nodeId: NodeId) => OutputPort | undefined;
  /** Sends to a compute node without the outbox. */
  readonly post: (to: NodeId, message: ComputeBound) => void;
  readonly onRefusal: RefusalListener;
}

/** The requester role: owns jobs, asks compute nodes to run them. */
export interface Requester extends RequesterService, MessageHandler<RequesterBound> {
  /** Its place in the order of start and stop. `stop` takes no new jobs from then on; what is written stays. */
  readonly component: Component;
  /** Takes up what an earlier life left. Before messages flow. */
  recover(): Promise<void>;
  /** The ask is still to be sent: for the carrier, before it repeats one. */
  wantsAnswer(jobId: JobId, executionId: ExecutionId): boolean;
  /** What a compute node needs of an ask's spec without reading it; nothing of an older version of the job. */
  known(ask: AskForBid): KnownSpec;
  /** The node is out of reach until its next NodeInfo. */
  disconnected(nodeId: NodeId): void;
  debug(): Record<string, unknown>;
}

class RequesterRole implements Requester {
  readonly component: Component;
  readonly #nodeId: NodeId;
  readonly #store: RequesterStore;
  readonly #lives: Lives;
  readonly #nodes: Nodes;
  readonly #planner: Planner;
  readonly #broker: Broker;
  readonly #deadlines: Deadlines;
  readonly #watchers = new Watchers();
  readonly #inbox: Inbox;
  readonly #submissions: Submissions;
  readonly #lookup: Lookup;
  readonly #logs: Logs;
  readonly #outputs: RequesterModules['outputs'];
  readonly #recovery: Recovery;
  readonly #reach: Reach;
  readonly #daemons = new Set<JobId>();
  #stopping = false;

  constructor(options: RequesterOptions, given: RequesterModules) {
    const { store, clock, logger, asks } = given;
    const { nodeId, maxAttempts, maxLost } = options;
    this.#nodeId = nodeId;
    this.#store = store;
    this.#lives = new Lives(options, { store });
    const { asksInFlight, nodes: bound } = options.limits;
    this.#nodes = new Nodes({ asksInFlight, bound }, { clock, store, logger });
    const lives = this.#lives;
    const nodes = this.#nodes;
    this.#planner = new Planner(
      { nodeId, scheduling: { maxAttempts, maxLost } },
      { store, clock, lives, nodes, asks },
    );
    const planner = this.#planner;
    this.#broker = new Broker(options, { store, clock, logger, lives, nodes, planner });
    const broker = this.#broker;
    this.#deadlines = new Deadlines({ store, clock, logger, lives, planner });
    this.#reach = new Reach(options, { clock, logger, lives, nodes, planner, broker });
    planner.listen(broker);
    planner.listen(this.#reach);
    planner.listen(this.#deadlines);
    planner.listen(this.#watchers);
    planner.listen({ changed: (live) => this.#noteDaemon(live) });
    this.#inbox = new Inbox({
      store,
      clock,
      logger,
      lives,
      nodes,
      planner,
      broker,
      onNode: (id) => {
        if (nodes.isConnected(id)) this.#reach.connected(id);
        this.#lookAtDaemons();
      },
      post: given.post,
      onRefusal: given.onRefusal,
    });
    this.#submissions = new Submissions(options, { store, clock, lives, planner, broker });
    this.#lookup = new Lookup(options, { store });
    this.#logs = new Logs({ store, clock, watchers: this.#watchers, logs: given.outputs });
    this.#outputs = given.outputs;
    this.#recovery = new Recovery(options, {
      store,
      lives,
      nodes,
      planner,
      broker,
      deadlines: this.#deadlines,
      reach: this.#reach,
    });
    this.component = {
      name: 'requester',
      start: () => Promise.resolve(),
      stop: () => this.#stop(),
    };
  }

  handle(from: NodeId, message: RequesterBound): Promise<void> {
    return this.#inbox.handle(from, message);
  }

  async recover(): Promise<void> {
    await this.#recovery.run((live) => this.#noteDaemon(live));
  }

  wantsAnswer(jobId: JobId, executionId: ExecutionId): boolean {
    const execution =
      this.#lives.peek(jobId)?.executions.get(executionId) ?? this.#store.execution(jobId, executionId);
    return execution?.computeState.type === 'AskForBid';
  }

  known({ executionId, jobId, jobVersion }: AskForBid): KnownSpec {
    const record = this.#lives.peek(jobId)?.record ?? this.#store.job(jobId);
    if (record?.version !== jobVersion) return {};
    const { namespace, type, priority, engine, publisher, resources, fileless, facts } = record;
    const { executionTimeoutMs, queueTimeoutMs, totalTimeoutMs } = record;
    const header = {
      executionId,
      jobId,
      jobVersion,
      requesterId: this.#nodeId,
      namespace,
      jobType: type,
      priority,
      engine,
      publisher,
      resources,
      executionTimeoutMs,
      queueTimeoutMs,
      totalTimeoutMs,
      fileless,
    };
    return facts === undefined || facts === null ? { header } : { header, facts };
  }

  disconnected(nodeId: NodeId): void {
    this.#nodes.disconnected(nodeId);
    this.#reach.disconnected(nodeId);
  }

  debug(): Record<string, unknown> {
    return {
      live: this.#lives.size,
      executions: this.#lives.executions,
      ...this.#broker.debug(),
      nodes: this.#nodes.compute.map(({ info, room }) => ({ nodeId: info.nodeId, ...room.debug() })),
    };
  }

  submit(job: CheckedJob): Promise<SubmitResult> {
    if (this.#stopping) return Promise.reject(stopping());
    return this.#submissions.submit(job);
  }

  async job(idOrName: string, namespace: string, version = 0): Promise<JobView> {
    return this.#lookup.view(await this.#lookup.find(idOrName, namespace), version);
  }

  jobs(query: JobListQuery): Promise<{ items: JobView[]; more: boolean }> {
    return this.#lookup.jobs(query);
  }

  async versions(idOrName: string, namespace: string): Promise<JobView[]> {
    return this.#lookup.versions(await this.#lookup.find(idOrName, namespace));
  }

  async history(idOrName: string, namespace: string, query: HistoryQuery): Promise<HistoryPage> {
    return this.#lookup.history(await this.#lookup.find(idOrName, namespace), query);
  }

  async executions(
    idOrName: string,
    namespace: string,
    query: ExecutionQuery,
  ): Promise<RequesterExecution[]> {
    const found = this.#lookup.executions(await this.#lookup.find(idOrName, namespace), query);
    await this.#store.committed();
    return found;
  }

  async results(idOrName: string, namespace: string): Promise<SpecConfig[]> {
    const found = this.#lookup.results(await this.#lookup.find(idOrName, namespace));
    await this.#store.committed();
    return found;
  }

  async openResults(jobId: JobId, executionId: ExecutionId, signal: AbortSignal): Promise<OpenedArchive> {
    const execution = this.#store.execution(jobId, executionId);
    if (execution === undefined) {
      throw new NodeError('ExecutionNotFound', `execution not found: ${executionId} of job ${jobId}`);
    }
    const port = this.#outputs(execution.nodeId);
    if (port === undefined) throw outOfReach(execution.nodeId);
    return port.openArchive(executionId, signal);
  }

  async stop(idOrName: string, namespace: string, reason: string): Promise<{ evaluationId: string }> {
    const { id } = await this.#lookup.find(idOrName, namespace);
    return this.#submissions.stop(id, reason);
  }

  async rerun(
    idOrName: string,
    namespace: string,
    version: number,
    reason: string,
  ): Promise<SubmitResult & { jobVersion: number }> {
    if (this.#stopping) throw stopping();
    const { id } = await this.#lookup.find(idOrName, namespace);
    return this.#submissions.rerun(id, version, reason);
  }

  async diff(job: CheckedJob): Promise<{ diff: string; warnings: readonly string[] }> {
    const { name, namespace } = job.header;
    const { spec } = this.#lookup.view(await this.#lookup.find(name, namespace));
    return { diff: diffText(ownPart(spec), ownPart(parseSpec(job.spec))), warnings: job.warnings };
  }

  nodes(): NodeView[] {
    return this.#nodes.views();
  }

  node(idOrPrefix: string): NodeView {
    return this.#nodes.find(idOrPrefix);
  }

  async setNode(id: NodeId, action: 'approve' | 'reject' | 'delete', message: string): Promise<void> {
    const nodeId = this.#nodes.set(id, action);
    if (action === 'reject') this.#leaveNode(nodeId, message);
    this.#lookAtDaemons();
    this.#broker.wake();
    await this.#store.flushed();
  }

  async *logs(
    idOrName: string,
    namespace: string,
    executionId: ExecutionId,
    options: JobLogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk> {
    yield* this.#logs.read(await this.#lookup.find(idOrName, namespace), executionId, options, signal);
  }

  async ended(jobId: JobId): Promise<JobRecord> {
    for (;;) {
      const record = this.#store.job(jobId);
      if (record === undefined) throw new NodeError('JobNotFound', `job not found: ${jobId}`);
      if (isJobTerminal(record.state.type)) {
        await this.#store.flushed();
        return record;
      }
      await this.#watchers.next(jobId);
    }
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    this.#broker.close();
    this.#deadlines.close();
    this.#reach.close();
    await this.#store.flushed();
  }

  #noteDaemon({ id, record }: LiveJob): void {
    if (record.type !== 'daemon') return;
    if (isJobTerminal(record.state.type)) this.#daemons.delete(id);
    else this.#daemons.add(id);
  }

  /** Nodes that have come, or can do more now, get the daemons that suit them. */
  #lookAtDaemons(): void {
    for (const id of this.#daemons) {
      const live = this.#lives.load(id);
      if (live !== undefined) this.#planner.settle(this.#planner.begin(live), this.#broker.passingGate(null));
    }
  }

  /** A node that was rejected loses what it runs for us; other nodes get it. */
  #leaveNode(nodeId: NodeId, message: string): void {
    for (const id of this.#reach.jobsAt(nodeId)) {
      const live = this.#lives.load(id);
      if (live === undefined) continue;
      const there = [...live.executions.values()].filter(
        (execution) => execution.nodeId === nodeId && !isComputeTerminal(execution.computeState.type),
      );
      const change = this.#planner.begin(live);
      const reason = message === '' ? stopReasons.nodeRejected : `${stopReasons.nodeRejected}: ${message}`;
      for (const execution of there) change.cancel(execution, reason);
      this.#planner.settle(change, this.#broker.passingGate(null));
    }
  }
}

function stopping(): NodeError {
  return new NodeError('Stopping', 'the node is stopping and takes no more jobs');
}

/** The requester role over its store. `recover` comes before the first message, then `component.start`. */
export function createRequester(args: {
  readonly options: RequesterOptions;
  readonly modules: RequesterModules;
}): Requester {
  return new RequesterRole(args.options, args.modules);
}
