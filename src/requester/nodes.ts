import type { Clock } from '../core/clock.ts';
import { NodeError } from '../core/errors.ts';
import { type NodeId, shortId } from '../core/ids.ts';
import type { NodeInfo } from '../core/node-info.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import { nodeRow } from './events.ts';
import { SeenInputs } from './locality.ts';
import { type AnnouncedRoom, NodeRoom } from './room.ts';
import type { NodeView } from './service.ts';

/** What a node offers, in lower case. */
export interface Offer {
  readonly engines: ReadonlySet<string>;
  readonly publishers: ReadonlySet<string>;
  readonly storages: ReadonlySet<string>;
}

/** A compute node as the scheduler sees it. */
export interface NodeState {
  info: NodeInfo;
  offer: Offer;
  /** All it has offered since this process began: what is missing now may come back (an engine that restarts). */
  readonly known: { engines: Set<string>; publishers: Set<string>; storages: Set<string> };
  membership: NodeView['membership'];
  connection: NodeView['connection'];
  lastHeartbeat: number;
  connectedSince: number;
  /** Microseconds; 0 while it is connected. */
  disconnectedSince: number;
  readonly room: NodeRoom;
  readonly inputs: SeenInputs;
}

/** A step of a node that others may want to hear of. */
export interface NodeChange {
  readonly kind: 'connection' | 'membership' | 'offer';
  readonly info: NodeInfo;
  /** Equal to `to` where it is no change of state. */
  readonly from: string;
  readonly to: string;
}

/** A node that has been away for so long is not waited for any more. */
const FORGET_AFTER_MS = 7 * 24 * 3_600_000;
/** How often such nodes are looked for. */
const SWEEP_EVERY_MS = 3_600_000;

const NO_OFFER: Offer = { engines: new Set(), publishers: new Set(), storages: new Set() };

function lower(names: readonly string[]): Set<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

function offerOf({ compute }: NodeInfo): Offer {
  if (compute === null) return NO_OFFER;
  const { engines, publishers, storages } = compute;
  return { engines: lower(engines), publishers: lower(publishers), storages: lower(storages) };
}

/**
 * The nodes that this requester has heard of. Kept in the store as far as jobs depend on it: what a node offers,
 * so that a job is not failed only because the node that suits it is not back yet after a restart, and what the
 * operator has decided about it. New nodes are approved.
 */
export class Nodes {
  readonly #asksInFlight: number;
  readonly #bound: number;
  readonly #clock: Clock;
  readonly #store: Pick<RequesterStore, 'nodes' | 'putNode' | 'removeNode' | 'transition'>;
  readonly #logger: Logger;
  readonly #nodes = new Map<NodeId, NodeState>();
  /** Kept apart from the nodes: executions of an earlier life are counted before their node is heard of. */
  readonly #rooms = new Map<NodeId, NodeRoom>();
  #compute: readonly NodeState[] = [];
  #sweptAt = 0;

  constructor(
    options: { readonly asksInFlight: number; readonly bound: number },
    modules: {
      readonly clock: Clock;
      readonly store: Pick<RequesterStore, 'nodes' | 'putNode' | 'removeNode' | 'transition'>;
      readonly logger: Logger;
    },
  ) {
    this.#asksInFlight = options.asksInFlight;
    this.#bound = options.bound;
    this.#clock = modules.clock;
    this.#store = modules.store;
    this.#logger = modules.logger;
  }

  /** Takes up what an earlier life knew. All are away until they are heard of. */
  recover(): void {
    const now = this.#clock.nowMicros();
    for (const { info, membership, lastHeartbeat, disconnectedSince } of this.#store.nodes()) {
      const node = this.#add(info);
      node.membership = membership;
      node.connection = 'DISCONNECTED';
      node.lastHeartbeat = lastHeartbeat;
      // Those that were there when the earlier life ended are looked for from now on.
      node.disconnectedSince = disconnectedSince === 0 ? now : disconnectedSince;
    }
    this.#forgetGone();
  }

  /** All nodes with a compute role. The array is replaced, never changed, when a node comes or goes. */
  get compute(): readonly NodeState[] {
    return this.#compute;
  }

  room(nodeId: NodeId): NodeRoom {
    let room = this.#rooms.get(nodeId);
    if (room === undefined) {
      room = new NodeRoom({ asksInFlight: this.#asksInFlight });
      this.#rooms.set(nodeId, room);
    }
    return room;
  }

  /** Takes a node's word about itself. True when something a job could depend on is new. */
  heard(info: NodeInfo): boolean {
    const now = this.#clock.nowMicros();
    if (now - this.#sweptAt > SWEEP_EVERY_MS * 1000) this.#forgetGone();
    const old = this.#nodes.get(info.nodeId);
    if (old === undefined && !this.#makePlace(info.nodeId)) return false;
    if (info.compute !== null) this.room(info.nodeId).told(info.compute);
    if (old === undefined) {
      this.#keep(this.#add(info));
      this.#list();
      this.#tell({ kind: 'connection', info, from: '', to: 'CONNECTED' });
      return true;
    }
    const offer = offerOf(info);
    const wasThere = old.connection === 'CONNECTED';
    const fresh =
      !wasThere || (old.info.compute === null) !== (info.compute === null) || offers(old, offer, info);
    old.info = info;
    old.offer = offer;
    for (const kind of ['engines', 'publishers', 'storages'] as const) {
      for (const name of offer[kind]) old.known[kind].add(name);
    }
    old.lastHeartbeat = now;
    if (!wasThere) {
      old.connection = 'CONNECTED';
      old.connectedSince = now;
      old.disconnectedSince = 0;
      this.#tell({ kind: 'connection', info, from: 'DISCONNECTED', to: 'CONNECTED' });
    } else if (fresh) this.#tell({ kind: 'offer', info, from: 'CONNECTED', to: 'CONNECTED' });
    if (fresh) {
      this.#keep(old);
      this.#list();
    }
    return fresh;
  }

  /** Word of a node that is not known is nothing to go by. */
  announced(nodeId: NodeId, room: AnnouncedRoom): void {
    if (this.#nodes.has(nodeId)) this.room(nodeId).announced(room, this.#clock.nowMs());
  }

  /** The node is out of reach until it is heard of again. */
  disconnected(nodeId: NodeId): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || node.connection === 'DISCONNECTED') return;
    node.connection = 'DISCONNECTED';
    node.disconnectedSince = this.#clock.nowMicros();
    this.#keep(node);
    this.#tell({ kind: 'connection', info: node.info, from: 'CONNECTED', to: 'DISCONNECTED' });
  }

  /** True when the node can be reached, and runs jobs. */
  isConnected(nodeId: NodeId): boolean {
    const node = this.#nodes.get(nodeId);
    return node?.connection === 'CONNECTED' && node.info.compute !== null;
  }

  /** The node has taken up a job with these inputs, or refused one because it does not have them. */
  sawInputs(nodeId: NodeId, inputs: readonly string[], isThere: boolean): void {
    const seen = this.#nodes.get(nodeId)?.inputs;
    if (isThere) seen?.note(inputs);
    else seen?.forget(inputs);
  }

  /** True when some node may be asked for something now. */
  anyOpen(nowMs: number): boolean {
    return this.#compute.some(
      (node) => node.connection === 'CONNECTED' && node.membership === 'APPROVED' && node.room.isOpen(nowMs),
    );
  }

  views(): NodeView[] {
    return [...this.#nodes.values()].map(view);
  }

  /** By whole id, prefix or short form. @throws NodeError NodeNotFound, MultipleNodesFound */
  find(idOrPrefix: string): NodeView {
    return view(this.#find(idOrPrefix));
  }

  /** @throws NodeError NodeNotFound, NodeStateConflict */
  set(id: NodeId, action: 'approve' | 'reject' | 'delete'): NodeId {
    const node = this.#find(id);
    const { nodeId } = node.info;
    switch (action) {
      case 'delete':
        this.#forget(nodeId);
        this.#list();
        return nodeId;
      case 'approve':
      case 'reject': {
        const membership = action === 'approve' ? 'APPROVED' : 'REJECTED';
        if (node.membership === membership) {
          throw new NodeError('NodeStateConflict', `node ${nodeId} already ${membership.toLowerCase()}`);
        }
        this.#tell({ kind: 'membership', info: node.info, from: node.membership, to: membership });
        node.membership = membership;
        this.#keep(node);
        return nodeId;
      }
    }
  }

  #find(id: string): NodeState {
    const exact = this.#nodes.get(id);
    if (exact !== undefined) return exact;
    const found = [...this.#nodes.values()].filter(
      ({ info }) => id !== '' && (info.nodeId.startsWith(id) || shortId(info.nodeId) === id),
    );
    const [first] = found;
    if (first === undefined) throw new NodeError('NodeNotFound', `node not found: ${id}`);
    if (found.length > 1) throw new NodeError('MultipleNodesFound', `multiple nodes found for id ${id}`);
    return first;
  }

  #add(info: NodeInfo): NodeState {
    const now = this.#clock.nowMicros();
    const offer = offerOf(info);
    const node: NodeState = {
      info,
      offer,
      known: {
        engines: new Set(offer.engines),
        publishers: new Set(offer.publishers),
        storages: new Set(offer.storages),
      },
      membership: 'APPROVED',
      connection: 'CONNECTED',
      lastHeartbeat: now,
      connectedSince: now,
      disconnectedSince: 0,
      room: this.room(info.nodeId),
      inputs: new SeenInputs(),
    };
    this.#nodes.set(info.nodeId, node);
    return node;
  }

  #keep({ info, membership, lastHeartbeat, disconnectedSince }: NodeState): void {
    this.#store.putNode({ info, membership, lastHeartbeat, disconnectedSince });
  }

  /** Room for one more: the node that has been away longest, with nothing of ours, is forgotten. */
  #makePlace(nodeId: NodeId): boolean {
    if (this.#nodes.size < this.#bound) return true;
    let oldest: NodeState | undefined;
    for (const node of this.#nodes.values()) {
      if (node.connection === 'CONNECTED' || node.room.outstanding > 0) continue;
      if (oldest === undefined || node.lastHeartbeat < oldest.lastHeartbeat) oldest = node;
    }
    if (oldest === undefined) {
      this.#logger.warn({ nodeId, bound: this.#bound }, 'a node is not listed: as many are known as may be');
      return false;
    }
    this.#forget(oldest.info.nodeId);
    return true;
  }

  /** Jobs do not wait for ever for nodes that do not come back. What the operator has decided is kept. */
  #forgetGone(): void {
    this.#sweptAt = this.#clock.nowMicros();
    const before = this.#sweptAt - FORGET_AFTER_MS * 1000;
    for (const { info, connection, membership, disconnectedSince } of [...this.#nodes.values()]) {
      const isGone = connection === 'DISCONNECTED' && disconnectedSince < before;
      if (isGone && membership === 'APPROVED') this.#forget(info.nodeId);
    }
    this.#list();
  }

  #forget(nodeId: NodeId): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    this.#nodes.delete(nodeId);
    if (node.room.outstanding === 0) this.#rooms.delete(nodeId);
    this.#store.removeNode(nodeId);
    this.#tell({ kind: 'membership', info: node.info, from: node.membership, to: '' });
  }

  /** An event. No node waits for it, nor for a disk that refuses it. */
  #tell(change: NodeChange): void {
    try {
      this.#store.transition({ history: [nodeRow(change, this.#clock.nowMicros())] });
    } catch (error) {
      this.#logger.warn({ err: error, nodeId: change.info.nodeId }, 'a change of a node was not recorded');
    }
  }

  #list(): void {
    this.#compute = [...this.#nodes.values()].filter(({ info }) => info.compute !== null);
  }
}

/** True when the new word differs from the old in what filters jobs. */
function offers(old: NodeState, offer: Offer, info: NodeInfo): boolean {
  const same = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
    a.size === b.size && [...a].every((name) => b.has(name));
  return !(
    same(old.offer.engines, offer.engines) &&
    same(old.offer.publishers, offer.publishers) &&
    same(old.offer.storages, offer.storages) &&
    JSON.stringify(old.info.labels) === JSON.stringify(info.labels) &&
    JSON.stringify(old.info.compute?.maxJobRequirements) === JSON.stringify(info.compute?.maxJobRequirements)
  );
}

function view(node: NodeState): NodeView {
  const { info, membership, connection, lastHeartbeat, connectedSince, disconnectedSince } = node;
  return { info, membership, connection, lastHeartbeat, connectedSince, disconnectedSince };
}
