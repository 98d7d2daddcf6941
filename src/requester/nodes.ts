import type { Clock } from '../core/clock.ts';
import { NodeError } from '../core/errors.ts';
import { type NodeId, shortId } from '../core/ids.ts';
import type { NodeInfo } from '../core/node-info.ts';
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
  readonly room: NodeRoom;
}

/** A step of a node that others may want to hear of. */
export interface NodeChange {
  readonly kind: 'connection' | 'membership' | 'offer';
  readonly info: NodeInfo;
  /** Equal to `to` where it is no change of state. */
  readonly from: string;
  readonly to: string;
}

const NO_OFFER: Offer = { engines: new Set(), publishers: new Set(), storages: new Set() };

function lower(names: readonly string[]): Set<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

/**
 * The nodes that this requester has heard of. In memory: a node tells its state when it connects, so the list
 * is whole again soon after a start. New nodes are approved; a decision of the operator lasts until restart.
 */
export class Nodes {
  readonly #asksInFlight: number;
  readonly #clock: Clock;
  readonly #onChange: (change: NodeChange) => void;
  readonly #nodes = new Map<NodeId, NodeState>();
  /** Kept apart from the nodes: executions of an earlier life are counted before their node is heard of. */
  readonly #rooms = new Map<NodeId, NodeRoom>();
  #compute: readonly NodeState[] = [];

  constructor(
    options: { readonly asksInFlight: number },
    modules: { readonly clock: Clock; readonly onChange?: (change: NodeChange) => void },
  ) {
    this.#asksInFlight = options.asksInFlight;
    this.#clock = modules.clock;
    this.#onChange = modules.onChange ?? (() => undefined);
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
    const old = this.#nodes.get(info.nodeId);
    const offer: Offer =
      info.compute === null
        ? NO_OFFER
        : {
            engines: lower(info.compute.engines),
            publishers: lower(info.compute.publishers),
            storages: lower(info.compute.storages),
          };
    const room = this.room(info.nodeId);
    if (info.compute !== null) room.told(info.compute);
    if (old === undefined) {
      this.#nodes.set(info.nodeId, {
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
        room,
      });
      this.#list();
      this.#onChange({ kind: 'connection', info, from: '', to: 'CONNECTED' });
      return true;
    }
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
      this.#onChange({ kind: 'connection', info, from: 'DISCONNECTED', to: 'CONNECTED' });
    } else if (fresh) this.#onChange({ kind: 'offer', info, from: 'CONNECTED', to: 'CONNECTED' });
    this.#list();
    return fresh;
  }

  announced(nodeId: NodeId, room: AnnouncedRoom): void {
    this.room(nodeId).announced(room, this.#clock.nowMs());
  }

  /** The node is out of reach until it is heard of again. */
  disconnected(nodeId: NodeId): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || node.connection === 'DISCONNECTED') return;
    node.connection = 'DISCONNECTED';
    this.#onChange({ kind: 'connection', info: node.info, from: 'CONNECTED', to: 'DISCONNECTED' });
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
        this.#nodes.delete(nodeId);
        this.#list();
        this.#onChange({ kind: 'membership', info: node.info, from: node.membership, to: '' });
        return nodeId;
      case 'approve':
      case 'reject': {
        const membership = action === 'approve' ? 'APPROVED' : 'REJECTED';
        if (node.membership === membership) {
          throw new NodeError('NodeStateConflict', `node ${nodeId} already ${membership.toLowerCase()}`);
        }
        this.#onChange({ kind: 'membership', info: node.info, from: node.membership, to: membership });
        node.membership = membership;
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
  const { info, membership, connection, lastHeartbeat, connectedSince } = node;
  return { info, membership, connection, lastHeartbeat, connectedSince };
}
