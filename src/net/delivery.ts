import type { Clock } from '../core/clock.ts';
import { NodeError } from '../core/errors.ts';
import type { ExecutionId, JobId, NodeId } from '../core/ids.ts';
import type { Component } from '../core/lifecycle.ts';
import type {
  AskForBid,
  ComputeBound,
  KnownSpec,
  Message,
  MessageHandler,
  RefusalListener,
  RequesterBound,
} from '../core/messages.ts';
import type { ComputeStore, Outbox } from '../store/compute-store.ts';
import type { OutboxRow } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Lane, type LaneOptions } from './lane.ts';

/** Carries messages to other nodes. */
export interface PeerTransport {
  /** Resolves when the peer has stored what the message says; rejects when that is not known. */
  send(to: NodeId, message: Message): Promise<void>;
  /** For what need not arrive. False when there was no room for it. */
  post(to: NodeId, message: Message): boolean;
}

export interface DeliveryOptions extends LaneOptions {
  readonly nodeId: NodeId;
}

/** What suits a node of any size. */
export const deliveryDefaults: Omit<DeliveryOptions, 'nodeId'> = {
  window: 8192,
  page: 512,
  retryMinMs: 100,
  retryMaxMs: 30_000,
  askAgainMs: 20_000,
};

/**
 * A longer spec is not kept for its first sending, and goes to a peer one at a time: many asks may be on their way
 * to a slow peer, and small ones must not wait for memory.
 */
const LARGE_SPEC_BYTES = 262_144;

export interface DeliveryModules {
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 to 1. Default: Math.random. */
  readonly random?: () => number;
  readonly onRefusal: RefusalListener;
}

/** The requester role's end. */
export interface RequesterEnd {
  readonly store: Pick<RequesterStore, 'outbox' | 'committed' | 'spec'>;
  readonly handler: MessageHandler<RequesterBound>;
  /** False when the ask has been answered; such rows are not sent again after a restart. */
  readonly wantsAnswer: (jobId: JobId, executionId: ExecutionId) => boolean;
  /** For an ask of this very node: what was read in its spec. */
  readonly known: (ask: AskForBid) => KnownSpec;
}

/** The compute role's end. */
export interface ComputeEnd {
  readonly store: Pick<ComputeStore, 'outbox' | 'committed' | 'flushed'>;
  readonly handler: MessageHandler<ComputeBound>;
}

type Role = 'requester' | 'compute';

interface Side {
  readonly outbox: Outbox;
  readonly committed: () => Promise<void>;
  readonly lanes: Map<NodeId, Lane>;
  /** Fleeting rows of the time before the start. */
  readonly early: OutboxRow[];
}

function isRequesterBound(message: Message): message is RequesterBound {
  switch (message.type) {
    case 'BidResult':
    case 'BidWaiting':
    case 'ExecutionStarted':
    case 'RunResult':
    case 'ComputeError':
    case 'NodeInfo':
    case 'RoomAnnounced':
      return true;
    case 'AskForBid':
    case 'BidAccepted':
    case 'BidRejected':
    case 'CancelExecution':
      return false;
  }
}

/** True for what others build on: their node must not forget it once it is told. */
function isPromise({ type }: Message): boolean {
  return type === 'BidResult' || type === 'BidWaiting' || type === 'RunResult' || type === 'ComputeError';
}

/**
 * Carries what the roles write into their outboxes, to the other role of this process or to a peer, until it
 * has arrived. Rows for a node that nothing leads to stay in the outbox.
 */
export class Delivery implements Component {
  readonly name = 'delivery';
  readonly #options: DeliveryOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #random: () => number;
  readonly #onRefusal: RefusalListener;
  readonly #sides = new Map<Role, Side>();
  readonly #attached = new Map<ExecutionId, Uint8Array>();
  readonly #unreachable = new Map<NodeId, number>();
  readonly #peers = new Map<NodeId, PeerTransport>();
  /** The last large ask on its way to each peer. */
  readonly #large = new Map<NodeId, Promise<void>>();
  #requester: RequesterEnd | undefined;
  #compute: ComputeEnd | undefined;
  #running = false;

  constructor(options: DeliveryOptions, modules: DeliveryModules) {
    this.#options = options;
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#random = modules.random ?? Math.random;
    this.#onRefusal = modules.onRefusal;
  }

  connectRequester(end: RequesterEnd): void {
    this.#requester = end;
    this.#connect('requester', end.store);
  }

  connectCompute(end: ComputeEnd): void {
    this.#compute = end;
    this.#connect('compute', end.store);
  }

  /** Begins to deliver, with what an earlier life has left. After the roles have recovered. */
  start(): Promise<void> {
    this.#running = true;
    for (const role of this.#sides.keys()) {
      if (this.#reaches(role, this.#options.nodeId)) this.#open(role, this.#options.nodeId);
      for (const peer of this.#peers.keys()) this.#open(role, peer);
    }
    return Promise.resolve();
  }

  /** Sends nothing more; waits for the answers to what was sent, until the deadline. Rows stay. */
  async stop(deadlineMs: number): Promise<void> {
    this.#running = false;
    const lanes = [...this.#sides.values()].flatMap((side) => [...side.lanes.values()]);
    await Promise.all(lanes.map((lane) => lane.stop(deadlineMs)));
    for (const side of this.#sides.values()) side.lanes.clear();
    this.#attached.clear();
  }

  /** A way to the peer is open: its rows are sent from now on. */
  peerConnected(peer: NodeId, transport: PeerTransport): void {
    this.#peers.set(peer, transport);
    this.#unreachable.delete(peer);
    if (!this.#running) return;
    for (const role of this.#sides.keys()) this.#open(role, peer);
  }

  /** The way to the peer is closed: its rows wait. What was sent over it and not answered is sent again over the next. */
  peerGone(peer: NodeId): void {
    this.#peers.delete(peer);
    const now = this.#clock.nowMs();
    for (const side of this.#sides.values()) {
      const lane = side.lanes.get(peer);
      side.lanes.delete(peer);
      void lane?.stop(now);
    }
  }

  /** The spec of the ask that is written next; sent with it once, and read from the store if it must be repeated. */
  attach(to: NodeId, executionId: ExecutionId, spec: Uint8Array): void {
    if (to !== this.#options.nodeId && spec.byteLength > LARGE_SPEC_BYTES) return;
    this.#attached.set(executionId, spec);
  }

  /** The ask is answered, or wanted no more. */
  answered(to: NodeId, executionId: ExecutionId): void {
    this.#attached.delete(executionId);
    const lane = this.#sides.get('requester')?.lanes.get(to);
    if (lane?.answered(executionId) === false) lane.withdraw(executionId);
  }

  /** A message that need not arrive: to this process's other role, or to a connected peer. */
  post(to: NodeId, message: Message): void {
    if (!this.#running) return;
    const peer = to === this.#options.nodeId ? undefined : this.#peers.get(to);
    if (peer !== undefined) {
      if (!peer.post(to, message))
        this.#logger.debug({ to, type: message.type }, 'a passing message was lost');
      return;
    }
    this.#hand(to, message).catch((error: unknown) => {
      this.#logger.debug({ err: error, to, type: message.type }, 'a passing message was lost');
    });
  }

  /** What a peer sent. Resolves when it need not be sent again. */
  receive(from: NodeId, message: Message): Promise<void> {
    if (!this.#running) return Promise.reject(new NodeError('Stopping', 'this node takes no messages now'));
    if (isRequesterBound(message)) {
      const handler = this.#requester?.handler;
      if (handler !== undefined) return handler.handle(from, message);
    } else {
      const handler = this.#compute?.handler;
      if (handler !== undefined) return handler.handle(from, message);
    }
    this.#onRefusal(from, message.type, 'no_role');
    return Promise.resolve();
  }

  debug(): Record<string, unknown> {
    const lanes = [...this.#sides].flatMap(([role, side]) =>
      [...side.lanes.values()].map((lane) => ({ from: role, ...lane.debug() })),
    );
    return { lanes, unreachable: Object.fromEntries(this.#unreachable) };
  }

  #connect(role: Role, store: { readonly outbox: Outbox; committed(): Promise<void> }): void {
    const side: Side = {
      outbox: store.outbox,
      committed: () => store.committed(),
      lanes: new Map(),
      early: [],
    };
    this.#sides.set(role, side);
    store.outbox.onAppend((rows) => {
      for (const row of rows) {
        const lane = side.lanes.get(row.to);
        if (lane !== undefined) lane.append(row);
        else if (row.fleeting) {
          // A peer that comes back asks again.
          if (row.to === this.#options.nodeId) side.early.push(row);
        } else if (this.#running) this.#unreachable.set(row.to, (this.#unreachable.get(row.to) ?? 0) + 1);
      }
    });
  }

  #open(role: Role, to: NodeId): void {
    const side = this.#sides.get(role);
    if (side === undefined || side.lanes.has(to)) return;
    const lane = new Lane(this.#options, {
      to,
      outbox: side.outbox,
      committed: side.committed,
      send: (row) => this.#sendRow(row),
      isWanted: (row) => this.#isWanted(row),
      clock: this.#clock,
      logger: this.#logger,
      random: this.#random,
    });
    side.lanes.set(to, lane);
    lane.start();
    if (to === this.#options.nodeId) for (const row of side.early.splice(0)) lane.append(row);
  }

  #reaches(role: Role, to: NodeId): boolean {
    if (to !== this.#options.nodeId) return this.#peers.has(to);
    return role === 'requester' ? this.#compute !== undefined : this.#requester !== undefined;
  }

  #isWanted({ message }: OutboxRow): boolean {
    if (message.type !== 'AskForBid') return true;
    return this.#requester?.wantsAnswer(message.jobId, message.executionId) ?? true;
  }

  #sendRow({ to, message }: OutboxRow): Promise<void> {
    if (message.type === 'AskForBid') return this.#sendAsk(to, message);
    return to === this.#options.nodeId || !isPromise(message)
      ? this.#hand(to, message)
      : this.#sendPromise(to, message);
  }

  /** An end that its own node could forget would make the execution run again, an offer end in an error. */
  async #sendPromise(to: NodeId, message: Message): Promise<void> {
    await this.#compute?.store.flushed();
    return this.#hand(to, message);
  }

  async #sendAsk(to: NodeId, message: AskForBid): Promise<void> {
    const { executionId, jobId, jobVersion } = message;
    const spec = this.#attached.get(executionId) ?? (await this.#spec(jobId, jobVersion));
    this.#attached.delete(executionId);
    if (to === this.#options.nodeId) {
      return this.#hand(to, { ...message, spec, ...this.#requester?.known(message) });
    }
    if (spec.byteLength <= LARGE_SPEC_BYTES) return this.#hand(to, { ...message, spec });
    return this.#oneByOne(to, async () =>
      this.#hand(to, { ...message, spec: await this.#spec(jobId, jobVersion) }),
    );
  }

  async #oneByOne(to: NodeId, send: () => Promise<void>): Promise<void> {
    const before = this.#large.get(to);
    const sending = (before ?? Promise.resolve()).catch(() => undefined).then(send);
    this.#large.set(to, sending);
    try {
      await sending;
    } finally {
      if (this.#large.get(to) === sending) this.#large.delete(to);
    }
  }

  async #spec(jobId: JobId, version: number): Promise<Uint8Array> {
    const store = this.#requester?.store;
    let spec = store?.spec(jobId, version);
    if (spec === undefined) {
      await store?.committed();
      spec = store?.spec(jobId, version);
    }
    if (spec === undefined) {
      throw new NodeError(
        'JobNotFound',
        `job not found: ${jobId} version ${version}: its ask cannot be sent`,
      );
    }
    return spec;
  }

  #hand(to: NodeId, message: Message): Promise<void> {
    if (to !== this.#options.nodeId) {
      const peer = this.#peers.get(to);
      return peer === undefined ? Promise.reject(this.#noWay(to)) : peer.send(to, message);
    }
    if (isRequesterBound(message)) {
      const handler = this.#requester?.handler;
      return handler === undefined ? Promise.reject(this.#noWay(to)) : handler.handle(to, message);
    }
    const handler = this.#compute?.handler;
    return handler === undefined ? Promise.reject(this.#noWay(to)) : handler.handle(to, message);
  }

  #noWay(to: NodeId): NodeError {
    return new NodeError('NodeNotFound', `node not found: ${to}: nothing leads there`);
  }
}

/** One a node. Connect the roles, let them recover, then `start`. */
export function createDelivery(args: {
  readonly options: DeliveryOptions;
  readonly modules: DeliveryModules;
}): Delivery {
  return new Delivery(args.options, args.modules);
}
