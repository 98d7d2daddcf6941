import { mkdir } from 'node:fs/promises';
import { FreeDisk } from '../capacity/free-disk.ts';
import { createHealth, type Health, type Healthy } from '../capacity/health.ts';
import { Ledger } from '../capacity/ledger.ts';
import type { CapacityPlan } from '../capacity/limits.ts';
import type { NodeConfig } from '../config/load.ts';
import { type PolicyConfig, policyOf } from '../config/policy.ts';
import type { BidPort } from '../core/bids.ts';
import type { Clock } from '../core/clock.ts';
import type { NodeId } from '../core/ids.ts';
import type { Resources } from '../core/job.ts';
import type { RefusalListener, RequesterBound } from '../core/messages.ts';
import type { ComputeInfo } from '../core/node-info.ts';
import { reapContainers } from '../engines/docker/health.ts';
import type { IpfsClient } from '../ipfs/client.ts';
import { Bids } from '../pipeline/bids.ts';
import { Compute } from '../pipeline/compute.ts';
import type { IngestStage } from '../pipeline/ingest/stage.ts';
import { type Recovered, recover } from '../pipeline/recover.ts';
import { Spine } from '../pipeline/spine.ts';
import type { ComputeStore } from '../store/compute-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics, Sample } from '../telemetry/metrics.ts';
import type { StorageOptions } from '../workers/bid/protocol.ts';
import { QuickBids } from '../workers/bid/quick.ts';
import { BidTally } from '../workers/bid/tally.ts';
import type { Question } from '../workers/protocol.ts';
import { observeBids } from './bid-metrics.ts';
import { offerChecks } from './checks.ts';
import type { NodePaths } from './paths.ts';
import { Policy } from './policy.ts';

/** Executions that run or are published hold a slot of the ledger as well as those that wait. */
const SLOTS_PER_WAITING = 4;

export interface ComputeRoleOptions {
  readonly nodeId: NodeId;
  readonly config: NodeConfig;
  readonly paths: NodePaths;
  readonly plan: CapacityPlan;
  /** "http://host:port": what clients reach this node at. */
  readonly publicUrl: string;
}

export interface ComputeRoleModules {
  readonly ingest: IngestStage;
  readonly store: ComputeStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly ipfs: () => Promise<IpfsClient>;
  readonly post: (to: NodeId, message: RequesterBound) => void;
  readonly onRefusal: RefusalListener;
  /** Something of `info()` has changed. */
  readonly onChange: () => void;
  /** There may be room for more. */
  readonly onRoom: (room: { readonly openSlots: number; readonly openCapacity: Resources }) => void;
  readonly onQuestion: (question: Question) => Promise<unknown>;
  readonly onFatal: (error: Error) => void;
}

/** The compute role, put together. */
export interface ComputeRole {
  readonly spine: Spine;
  readonly compute: Compute;
  readonly ledger: Ledger;
  readonly health: Health;
  readonly bids: BidPort;
  /** The job selection policy of another configuration takes the place of the present one. */
  setPolicy(next: PolicyConfig): void;
  /** The configuration with the policy in force. */
  effective(): NodeConfig;
  info(): ComputeInfo;
  /** Everything that must be done before the network opens. */
  start(): Promise<Recovered>;
  stop(deadlineMs: number): Promise<void>;
}

export function createComputeRole(options: ComputeRoleOptions, modules: ComputeRoleModules): ComputeRole {
  const { config, nodeId, paths, plan } = options;
  const { store, clock, logger, metrics, ipfs } = modules;
  const storages = storageOptions(config, paths);
  const ledger = new Ledger({
    total: plan.total,
    queue: plan.queue,
    slots: SLOTS_PER_WAITING * config.limits.admitQueue,
  });
  const disk = new FreeDisk(
    { directory: paths.executions },
    { clock, logger: logger.child({ module: 'disk' }), onMore: () => spine.lookAgain() },
  );
  const tally = new BidTally();
  const bid = {
    ...config.bid,
    nodeId,
    defaultResources: plan.defaults,
    jobLimit: plan.jobLimit,
    allowHostNetwork: config.execute.allowHostNetwork,
    storages,
    publicUrl: options.publicUrl,
    ledger: ledger.share(),
    disk: disk.view.buffer,
    tally: tally.buffer,
    docker: config.docker,
  };
  const quick = new QuickBids(bid);
  let offer: Healthy = { engines: [], storages: [], publishers: [] };

  const spine = new Spine(
    {
      nodeId,
      limits: config.limits,
      threads: config.workers,
      defaultExecutionTimeoutMs: config.bid.defaultExecutionTimeoutMs,
      approvalTimeoutMs: config.bid.approvalTimeoutMs,
      gpus: plan.gpus,
      bid,
      admit: { executionsDirectory: paths.executions },
      execute: {
        nodeId,
        storages,
        dockerHost: config.docker.host,
        dockerUsername: config.docker.username,
        dockerPassword: config.docker.password,
        acceptNetworked: config.bid.acceptNetworked,
        allowHostNetwork: config.execute.allowHostNetwork,
        maxStreamBytes: config.limits.streamBytes,
        maxResultBytes: config.execute.maxResultBytes,
        envAllowList: config.execute.envAllowList,
        hostEnv: config.execute.hostEnv,
      },
      publish: { storages, archivesDirectory: paths.archives, archivesUrl: `${options.publicUrl}/results` },
    },
    {
      store,
      ledger,
      disk: disk.view,
      clock,
      logger,
      metrics,
      onRefused: (ask, rejection) => compute.refused(ask, rejection),
      onRoom: (openSlots) => modules.onRoom({ openSlots, openCapacity: ledger.open() }),
      onCapacity: modules.onChange,
      onGone: (item) => compute.gone(item),
      bidAtOnce: ({ asked, spec }, facts) => {
        if (!('engine' in asked)) return quick.bidOfPeer(asked, spec);
        return facts === undefined ? undefined : quick.bid(asked, facts);
      },
      onQuestion: modules.onQuestion,
      onFatal: modules.onFatal,
    },
  );
  const compute: Compute = new Compute(
    {
      nodeId,
      acceptBidsFrom: config.bid.acceptBidsFrom,
      executionsDirectory: paths.executions,
      archivesDirectory: paths.archives,
    },
    { spine, store, post: modules.post, onRefusal: modules.onRefusal },
  );
  const health = createHealth(
    {
      checks: offerChecks(config, { ipfs, archivesDirectory: paths.archives }),
      onChange: (healthy) => {
        offer = healthy;
        spine.setOffer(healthy);
        quick.setOffer(healthy);
        modules.onChange();
      },
    },
    { clock, logger: logger.child({ module: 'health' }) },
  );
  observe(metrics, ledger, store);
  observeBids(metrics, tally);

  const policy = new Policy(policyOf(config), {
    apply: (bid) => {
      quick.setPolicy(bid);
      spine.setPolicy(bid, bid.approvalTimeoutMs);
      compute.setAccepts(bid.acceptBidsFrom);
    },
    logger,
  });
  const bids = new Bids({ nodeId }, { spine, store, ingest: modules.ingest });
  return {
    bids: {
      waiting: () => bids.waiting(),
      decide: (id, word) => bids.decide(id, word),
      explain: (submission) => bids.explain(submission),
      approver: () => policy.now.bid.approver,
      policy: () => policy.tree(),
      changePolicy: (values) => {
        policy.change(values);
        return policy.tree();
      },
    },
    setPolicy: (next) => policy.replace(next),
    effective: () => policy.effective(config),
    spine,
    compute,
    ledger,
    health,
    info: () => ({
      ...offer,
      maxCapacity: plan.total,
      queueCapacity: plan.queue,
      promisedCapacity: ledger.promised(),
      queuedCapacity: spine.occupancy.queuedCapacity(),
      availableCapacity: ledger.free(),
      maxJobRequirements: plan.jobLimit,
      gpus: plan.gpus,
      runningExecutions: spine.occupancy.active,
      enqueuedExecutions: spine.occupancy.queued,
      offeredExecutions: spine.occupancy.offered,
      openSlots: spine.openSlots,
      openCapacity: ledger.open(),
    }),
    async start() {
      for (const directory of [paths.executions, paths.archives, paths.ipfsBlocks]) {
        await mkdir(directory, { recursive: true, mode: 0o700 });
      }
      await disk.start();
      spine.warm();
      await health.start();
      const counts = await recover({
        store,
        spine,
        logger,
        executionsDirectory: paths.executions,
        archivesDirectory: paths.archives,
        reapContainers: () => reap(config.docker.host, nodeId, logger),
        dockerAnswers: offer.engines.includes('docker'),
      });
      // Some were approved and had found no room.
      spine.approvals.retry();
      return counts;
    },
    async stop(deadlineMs) {
      disk.stop();
      await health.stop(deadlineMs);
      await spine.close();
    },
  };
}

/** Settings of the threads that reach for data. */
export function storageOptions(config: NodeConfig, paths: NodePaths): StorageOptions {
  const { allowListedLocalPaths, urlAllowList, urlTimeoutMs, urlRetries } = config.execute;
  return {
    ipfsConnect: config.ipfs.connect,
    ipfsAuthorization: config.ipfs.authorization,
    ipfsBlocks: paths.ipfsBlocks,
    allowListedLocalPaths,
    urlAllowList,
    urlTimeoutMs,
    urlRetries,
  };
}

async function reap(dockerHost: string, nodeId: NodeId, logger: Logger): Promise<number> {
  try {
    return await reapContainers({ dockerHost }, nodeId);
  } catch (error) {
    // Names of containers are unique to an execution and an attempt, so an unreachable Docker holds nothing up.
    logger.warn({ err: error }, 'containers of the node before this restart could not be removed');
    return 0;
  }
}

function observe(metrics: Metrics, ledger: Ledger, store: ComputeStore): void {
  metrics.observe('bacalhau_capacity', function* (): Generator<Sample> {
    for (const [account, resources] of Object.entries({
      total: ledger.total(),
      promised: ledger.promised(),
      used: ledger.used(),
    })) {
      for (const [resource, value] of Object.entries(resources))
        yield { labels: { account, resource }, value: Number(value) };
    }
  });
  metrics.observe('bacalhau_outbox_messages', () => [
    { labels: { role: 'compute' }, value: store.outbox.size() },
  ]);
  metrics.observe('bacalhau_executions', function* (): Generator<Sample> {
    for (const [state, value] of Object.entries(store.counts())) yield { labels: { state }, value };
  });
}
