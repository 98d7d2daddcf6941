import { pino } from 'pino';
import { jobHeader } from '../../../src/core/headers.ts';
import { type ExecutionId, type JobId, type NodeId, newJobId } from '../../../src/core/ids.ts';
import type { JobSpec, RunCommandResult } from '../../../src/core/job.ts';
import { limits } from '../../../src/core/limits.ts';
import type {
  AskForBid,
  ComputeBound,
  MessageHandler,
  Refusal,
  RefusalListener,
  RequesterBound,
} from '../../../src/core/messages.ts';
import type { ComputeInfo, NodeInfo } from '../../../src/core/node-info.ts';
import type { CheckedJob, OutputPort } from '../../../src/core/ports.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import { createSequencer } from '../../../src/events/seq.ts';
import { createDelivery, type Delivery, deliveryDefaults } from '../../../src/net/delivery.ts';
import type { ReachOptions } from '../../../src/requester/reach.ts';
import { createRequester, type Requester, requesterDefaults } from '../../../src/requester/requester.ts';
import type { Outbox } from '../../../src/store/compute-store.ts';
import type { Environment } from '../../../src/store/environment.ts';
import { createRequesterStore } from '../../../src/store/environment-requester-store.ts';
import type { RequesterStore } from '../../../src/store/requester-store.ts';
import type { HistoryReader } from '../../../src/store/role-log.ts';
import { lastSeq } from '../../../src/store/role-log.ts';
import { LazyEnvironment } from './lazy-environment.ts';
import { ManualClock } from './manual-clock.ts';

export const NODE: NodeId = '12D3KooWTestNodeTestNodeTestNodeTestNodeTestNode1234';
export const silent = pino({ level: 'silent' });

export function spec(change: Partial<JobSpec> & { engine?: string; cpu?: string } = {}): JobSpec {
  const { engine = 'mock', cpu = '1', ...rest } = change;
  const ID = change.ID ?? newJobId();
  return {
    ID,
    Name: ID,
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
        Engine: { Type: engine },
        Publisher: { Type: '' },
        Resources: { CPU: cpu, Memory: '1mb' },
        Network: { Type: 'Default' },
        Timeouts: {},
      },
    ],
    ...rest,
  };
}

/** A job as ingest hands it on. */
export function checked(change: Parameters<typeof spec>[0] = {}, force = false): CheckedJob {
  const made = spec(change);
  return {
    header: jobHeader(made, NO_RESOURCES),
    spec: new TextEncoder().encode(JSON.stringify(made)),
    warnings: [],
    force,
  };
}

export function nodeInfo(
  change: Partial<ComputeInfo> = {},
  nodeId = NODE,
  labels: Record<string, string> = {},
): NodeInfo {
  const most = { cpu: 4, memory: 4e9, disk: 4e9, gpu: 0 };
  return {
    nodeId,
    roles: { compute: true, requester: false },
    labels,
    version: 'v1.9.3',
    compute: {
      engines: ['mock', 'wasm'],
      publishers: ['local'],
      storages: ['inline'],
      maxCapacity: most,
      queueCapacity: { cpu: 0, memory: 0, disk: 0, gpu: 0 },
      promisedCapacity: { cpu: 0, memory: 0, disk: 0, gpu: 0 },
      queuedCapacity: { cpu: 0, memory: 0, disk: 0, gpu: 0 },
      availableCapacity: most,
      maxJobRequirements: most,
      gpus: [],
      runningExecutions: 0,
      enqueuedExecutions: 0,
      offeredExecutions: 0,
      openSlots: 64,
      openCapacity: change.openCapacity ?? change.availableCapacity ?? most,
      ...change,
    },
  };
}

export const OUTPUT: RunCommandResult = {
  Stdout: 'hi\n',
  StdoutTruncated: false,
  stderr: '',
  StderrTruncated: false,
  ExitCode: 0,
  ErrorMsg: '',
};

/** A compute node that does what the test tells it to. Idempotent by execution, as real ones are. */
export class FakeNode implements MessageHandler<ComputeBound> {
  readonly nodeId: NodeId;
  readonly asks: AskForBid[] = [];
  readonly cancelled: ExecutionId[] = [];
  readonly turnedDown: ExecutionId[] = [];
  readonly accepted: ExecutionId[] = [];
  /** What it does with an ask; default: nothing until the test answers. */
  onAsk: (ask: AskForBid) => void = () => undefined;
  onAccepted: (ask: AskForBid) => void = () => undefined;
  readonly #reply: (message: RequesterBound) => Promise<void>;

  constructor(nodeId: NodeId, reply: (message: RequesterBound) => Promise<void>) {
    this.nodeId = nodeId;
    this.#reply = reply;
  }

  handle(_from: NodeId, message: ComputeBound): Promise<void> {
    switch (message.type) {
      case 'AskForBid':
        this.asks.push(message);
        this.onAsk(message);
        break;
      case 'BidAccepted': {
        this.accepted.push(message.executionId);
        const ask = this.asks.find(({ executionId }) => executionId === message.executionId);
        if (ask !== undefined) this.onAccepted(ask);
        break;
      }
      case 'BidRejected':
        this.turnedDown.push(message.executionId);
        break;
      case 'CancelExecution':
        this.cancelled.push(message.executionId);
        break;
    }
    return Promise.resolve();
  }

  reply(message: RequesterBound): Promise<void> {
    return this.#reply(message);
  }

  bid({ executionId, jobId }: AskForBid): Promise<void> {
    return this.#reply({ type: 'BidResult', executionId, jobId, accepted: true, reason: '' });
  }

  refuse({ executionId, jobId }: AskForBid, final: boolean, reason = 'no'): Promise<void> {
    return this.#reply({
      type: 'BidResult',
      executionId,
      jobId,
      accepted: false,
      reason,
      rejection: { code: final ? 'networking' : 'no_room', final },
    });
  }

  finish({ executionId, jobId }: AskForBid, result: RunCommandResult = OUTPUT): Promise<void> {
    return this.#reply({ type: 'RunResult', executionId, jobId, result, published: { Type: '' } });
  }

  /** Bids, runs and finishes everything at once. */
  runAll(): void {
    this.onAsk = (ask) => void this.bid(ask);
    this.onAccepted = (ask) => void this.finish(ask);
  }
}

/** A node with room for so many cores at a time, which says what is free whenever that changes. */
export class SmallNode {
  readonly node: FakeNode;
  readonly running: AskForBid[] = [];
  /** Job ids in the order in which they were accepted. */
  readonly order: JobId[] = [];
  /** Most cores in use at once; more than it has would be its own fault, and is refused. */
  refusals = 0;
  readonly #cores: number;
  readonly #cpuOf: (ask: AskForBid) => number;

  constructor(node: FakeNode, cores: number) {
    this.node = node;
    this.#cores = cores;
    this.#cpuOf = ({ spec: bytes }) => {
      const { Tasks } = JSON.parse(new TextDecoder().decode(bytes)) as JobSpec;
      return Number(Tasks[0].Resources.CPU);
    };
    node.onAsk = (ask) => {
      if (this.used + this.#cpuOf(ask) > this.#cores) {
        this.refusals += 1;
        void node.refuse(ask, false, 'no room');
      } else {
        this.running.push(ask);
        this.order.push(ask.jobId);
        void node.bid(ask);
      }
      this.announce();
    };
  }

  get used(): number {
    return this.running.reduce((sum, ask) => sum + this.#cpuOf(ask), 0);
  }

  announce(): void {
    const cpu = this.#cores - this.used;
    void this.node.reply({
      type: 'RoomAnnounced',
      openSlots: 64,
      openCapacity: { cpu, memory: 4e9, disk: 4e9, gpu: 0 },
    });
  }

  hello(): Promise<void> {
    const cpu = this.#cores;
    const most = { cpu, memory: 4e9, disk: 4e9, gpu: 0 };
    return this.node.reply({
      type: 'NodeInfo',
      info: nodeInfo({
        maxCapacity: most,
        availableCapacity: most,
        maxJobRequirements: most,
        openCapacity: most,
      }),
    });
  }

  /** Ends the run that was accepted first, or that of a job. */
  async finish(jobId?: JobId): Promise<void> {
    const at = jobId === undefined ? 0 : this.running.findIndex((ask) => ask.jobId === jobId);
    const [ask] = this.running.splice(at, 1);
    if (ask === undefined) throw new Error('nothing runs');
    this.announce();
    await this.node.finish(ask);
  }
}

export interface Kit {
  readonly clock: ManualClock;
  readonly store: RequesterStore & HistoryReader;
  readonly requester: Requester;
  readonly delivery: Delivery;
  readonly node: FakeNode;
  readonly environment: Environment;
  /** Messages that were none of their sender's business. */
  readonly refused: { readonly from: NodeId; readonly type: string; readonly why: Refusal }[];
}

const NO_OUTBOX: Outbox = {
  pending: () => [],
  remove: () => undefined,
  size: () => 0,
  onAppend: () => undefined,
};

/** A requester over a store in memory, with one fake node in the same process. */
export async function makeKit(
  options: {
    readonly environment?: Environment;
    readonly clock?: ManualClock;
    /** The node is the requester's own. */
    readonly own?: boolean;
    readonly requester?: Partial<typeof requesterDefaults & ReachOptions> & {
      asksInFlight?: number;
      nodes?: number;
    };
    readonly outputs?: OutputPort;
    /** False: nothing is known of the node yet. */
    readonly hello?: boolean;
  } = {},
): Promise<Kit> {
  const clock = options.clock ?? new ManualClock();
  const refused: Kit['refused'] = [];
  const onRefusal: RefusalListener = (from, type, why) => void refused.push({ from, type, why });
  const environment = options.environment ?? new LazyEnvironment();
  const sequencer = createSequencer(lastSeq(environment));
  const store = createRequesterStore({
    environment,
    nextSeq: () => sequencer.next(),
    ownNode: options.own === true ? NODE : undefined,
  });
  const delivery = createDelivery({
    options: { ...deliveryDefaults, nodeId: NODE },
    modules: { clock, logger: silent, random: () => 1, onRefusal },
  });
  const { asksInFlight = limits.asksInFlight, nodes = limits.nodes, ...rest } = options.requester ?? {};
  const requester = createRequester({
    options: {
      ...requesterDefaults,
      askTimeoutMs: 3_600_000,
      nodeLostTimeoutMs: 3_600_000,
      ...rest,
      // Whose node it is shows only in what is written again after a restart.
      nodeId: options.own === true ? NODE : 'another',
      resultsUrl: 'http://here/results',
      limits: { asksInFlight, nodes },
      defaultResources: NO_RESOURCES,
    },
    modules: {
      store,
      clock,
      logger: silent,
      asks: delivery,
      post: (to, message) => delivery.post(to, message),
      onRefusal,
      outputs: () => options.outputs,
    },
  });
  const node = new FakeNode(NODE, (message) => requester.handle(NODE, message));
  delivery.connectRequester({
    store,
    handler: requester,
    wantsAnswer: (jobId, executionId) => requester.wantsAnswer(jobId, executionId),
    known: (ask) => requester.known(ask),
  });
  delivery.connectCompute({
    store: { outbox: NO_OUTBOX, committed: () => Promise.resolve(), flushed: () => Promise.resolve() },
    handler: node,
  });
  await requester.recover();
  await delivery.start();
  if (options.hello !== false) await node.reply({ type: 'NodeInfo', info: nodeInfo() });
  return { clock, store, requester, delivery, node, environment, refused };
}

/** Topics and messages of a job's history, oldest first. */
export async function told(kit: Kit, jobId: string): Promise<string[]> {
  const page = await kit.requester.history(jobId, '', {
    since: 0,
    eventType: 'all',
    executionId: '',
    jobVersion: 0,
    allVersions: true,
    limit: 1000,
    offset: 0,
  });
  return page.items.map(({ topic, message }) => `${topic}: ${message}`);
}

/** A compute node elsewhere, and the link to it. */
export interface FakePeer {
  readonly node: FakeNode;
  /** The link is there, and the node has said what it has. */
  connect(change?: Partial<ComputeInfo>): Promise<void>;
  /** The link is gone. */
  disconnect(): void;
}

/** A node that the kit's requester reaches over a link. */
export function peerOf(kit: Kit, nodeId: NodeId, labels: Record<string, string> = {}): FakePeer {
  const { delivery, requester } = kit;
  const node = new FakeNode(nodeId, (message) => delivery.receive(nodeId, message));
  return {
    node,
    async connect(change = {}) {
      delivery.peerConnected(nodeId, {
        send: (_to, message) => node.handle(NODE, message as ComputeBound),
        post: (_to, message) => {
          void node.handle(NODE, message as ComputeBound);
          return true;
        },
      });
      await node.reply({ type: 'NodeInfo', info: nodeInfo(change, nodeId, labels) });
    },
    disconnect() {
      delivery.peerGone(nodeId);
      requester.disconnected(nodeId);
    },
  };
}
