import type { Clock } from '../core/clock.ts';
import { NodeError } from '../core/errors.ts';
import type { ExecutionId, NodeId } from '../core/ids.ts';
import type { NodeInfoChanged, RefusalListener, RoomAnnounced } from '../core/messages.ts';
import type { NodeInfo } from '../core/node-info.ts';
import type { LogChunk, LogOptions, OpenedArchive, OutputPort } from '../core/ports.ts';
import type { Delivery } from '../net/delivery.ts';
import type { P2pHost } from '../net/p2p/host.ts';
import { createWire, type PeerHello, type PeerView, type Wire } from '../net/p2p/wire.ts';
import type { Compute } from '../pipeline/compute.ts';
import type { Requester } from '../requester/requester.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Spaced } from './spaced.ts';

/**
 * Between two words of room to peers: each of them is woken for one, and a node that bids a thousand times a second has
 * news as often. This node's own requester hears each.
 */
const ROOM_PAUSE_MS = 5;

export interface NetworkOptions {
  readonly nodeId: NodeId;
  readonly hello: PeerHello;
}

export interface NetworkModules {
  readonly delivery: Delivery;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What this node says of itself now. */
  readonly info: () => NodeInfo;
  readonly onRefusal: RefusalListener;
}

/** The roles of this node, as far as it has them. */
export interface NetworkRoles {
  readonly requester: Pick<Requester, 'disconnected'> | undefined;
  readonly compute: Pick<Compute, 'requesterOf' | 'logs' | 'openArchive'> | undefined;
}

/**
 * Makes this node one of several: what peers send goes to the roles, what the roles send goes to peers. Nodes know
 * only those they have a link with; nothing is passed on for others.
 */
export class Network {
  readonly #options: NetworkOptions;
  readonly #modules: NetworkModules;
  #roles: NetworkRoles = { requester: undefined, compute: undefined };
  #wire: Wire | undefined;
  /** Peers with a link, and what they are. */
  readonly #links = new Map<NodeId, PeerHello>();
  readonly #room: Spaced<RoomAnnounced>;

  constructor(options: NetworkOptions, modules: NetworkModules) {
    this.#options = options;
    this.#modules = modules;
    this.#room = new Spaced(
      { pauseMs: ROOM_PAUSE_MS },
      { clock: modules.clock, pass: (message) => this.#tellPeers(message) },
    );
  }

  /** Once, before `open`. */
  serve(roles: NetworkRoles): void {
    this.#roles = roles;
  }

  /** Puts the protocols on the host, which does not listen yet. */
  async open(host: P2pHost): Promise<void> {
    const { clock, logger, metrics } = this.#modules;
    const handlers: Parameters<typeof createWire>[1]['handlers'] = {
      peerUp: (peer, hello) => this.#up(peer, hello),
      peerDown: (peer) => this.#down(peer),
      message: (from, message) => this.#modules.delivery.receive(from, message),
      logs: (from, executionId, options, signal) => this.#logs(from, executionId, options, signal),
      archive: (from, executionId) => this.#archive(from, executionId),
    };
    const wire = createWire({ hello: this.#options.hello }, { host, handlers, clock, logger, metrics });
    this.#wire = wire;
    await wire.start();
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#room.stop();
    await this.#wire?.stop(deadlineMs);
  }

  /** Tells every requester that can be reached, the own one among them. Need not arrive: it is said again. */
  tell(message: NodeInfoChanged | RoomAnnounced): void {
    const { nodeId } = this.#options;
    if (this.#roles.requester !== undefined) this.#modules.delivery.post(nodeId, message);
    if (message.type === 'RoomAnnounced') this.#room.tell(message);
    else this.#tellPeers(message);
  }

  /** Where logs and results of a node's executions are read; undefined when there is no link with it. */
  outputs(nodeId: NodeId): OutputPort | undefined {
    const wire = this.#wire;
    if (wire === undefined || !this.#links.has(nodeId)) return undefined;
    return {
      logs: (executionId, options, signal) => wire.logs(nodeId, executionId, options, signal),
      openArchive: (executionId, signal) => wire.archive(nodeId, executionId, signal),
    };
  }

  /** For people. */
  peers(): readonly PeerView[] {
    return this.#wire?.peers() ?? [];
  }

  #tellPeers(message: NodeInfoChanged | RoomAnnounced): void {
    for (const [peer, { roles }] of this.#links) if (roles.requester) this.#wire?.post(peer, message);
  }

  #up(peer: NodeId, hello: PeerHello): void {
    const { delivery, info } = this.#modules;
    this.#links.set(peer, hello);
    // First what the node is, then what it has to say.
    if (hello.roles.requester) this.#wire?.post(peer, { type: 'NodeInfo', info: info() });
    delivery.peerConnected(peer, {
      send: (to, message) => this.#wire?.send(to, message) ?? Promise.reject(stopping()),
      post: (to, message) => this.#wire?.post(to, message) ?? false,
    });
  }

  #down(peer: NodeId): void {
    this.#links.delete(peer);
    this.#modules.delivery.peerGone(peer);
    this.#roles.requester?.disconnected(peer);
  }

  async *#logs(
    from: NodeId,
    executionId: ExecutionId,
    options: LogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk> {
    yield* this.#owned(from, executionId, 'logs').logs(executionId, options, signal);
  }

  async #archive(from: NodeId, executionId: ExecutionId): Promise<OpenedArchive> {
    return await this.#owned(from, executionId, 'archive').openArchive(executionId);
  }

  /** Output goes to the requester that asked for the execution, and to nobody else. */
  #owned(
    from: NodeId,
    executionId: ExecutionId,
    what: 'logs' | 'archive',
  ): NonNullable<NetworkRoles['compute']> {
    const { compute } = this.#roles;
    const owner = compute?.requesterOf(executionId);
    if (compute !== undefined && owner === from) return compute;
    if (owner !== undefined) this.#modules.onRefusal(from, what, 'foreign');
    throw new NodeError('ExecutionNotFound', `execution not found: ${executionId}`);
  }
}

function stopping(): NodeError {
  return new NodeError('Stopping', 'the node is stopping');
}
