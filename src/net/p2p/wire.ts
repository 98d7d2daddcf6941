import type { Readable } from 'node:stream';
import type { Connection, Stream } from '@libp2p/interface';
import type { Clock } from '../../core/clock.ts';
import { NodeError } from '../../core/errors.ts';
import type { ExecutionId, NodeId } from '../../core/ids.ts';
import type { Component } from '../../core/lifecycle.ts';
import type { Message } from '../../core/messages.ts';
import type { LogChunk, LogOptions } from '../../core/ports.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { P2pHost } from './host.ts';
import { BODY_PROTOCOL } from './wire/body-sender.ts';
import { WireCounts } from './wire/counts.ts';
import { fetchArchive, fetchLogs } from './wire/fetch-client.ts';
import { FETCH_PROTOCOL } from './wire/fetch-frames.ts';
import { type FetchHandlers, FetchServer } from './wire/fetch-server.ts';
import { type WireLimits, wireLimits } from './wire/limits.ts';
import { type LinkHandlers, Links, type PeerHello } from './wire/links.ts';
import { MESSAGES_PROTOCOL } from './wire/opener.ts';
import { busy } from './wire/outbox.ts';

export type { PeerHello } from './wire/links.ts';

/** What the node does with what comes. */
export interface WireHandlers extends LinkHandlers, FetchHandlers {}

/** A link, as people see it. */
export interface PeerView {
  readonly id: NodeId;
  readonly hello: PeerHello;
  /** Since when the link is up, epoch milliseconds. */
  readonly since: number;
  /** Round trip of the last ping; undefined before the first. */
  readonly rttMs: number | undefined;
  /** Messages that wait to be sent, that wait for an answer, and that are being handled here. */
  readonly waiting: number;
  readonly unanswered: number;
  readonly handling: number;
}

/** The ways to other nodes. */
export interface Wire extends Component {
  /** Registers the protocols: before or after the host's own start. */
  start(): Promise<void>;
  /**
   * Resolves when the peer has stored what the message says.
   * @throws NodeError NodeNotFound (no link), LinkLost (not known whether it arrived), Busy, or the peer's own
   */
  send(to: NodeId, message: Message): Promise<void>;
  /** A message that need not arrive. False where there is no link, or no room. */
  post(to: NodeId, message: Message): boolean;
  /** Logs of an execution at a peer. @throws NodeError NodeNotFound (no link), LinkLost, or the peer's own */
  logs(
    to: NodeId,
    executionId: ExecutionId,
    options: LogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk>;
  /** A published archive at a peer. @throws NodeError as `logs` */
  archive(
    to: NodeId,
    executionId: ExecutionId,
    signal: AbortSignal,
  ): Promise<{ stream: Readable; bytes: number }>;
  /** Peers with a link. */
  peers(): readonly PeerView[];
}

export interface WireOptions {
  /** What this node says of itself. */
  readonly hello: PeerHello;
  /** Set in tests only. */
  readonly limits?: WireLimits;
}

export interface WireModules {
  readonly host: P2pHost;
  readonly handlers: WireHandlers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** 0 to 1. Default: Math.random. */
  readonly random?: () => number;
}

/** One is used; another may come before the old one is known to be gone. */
const MESSAGE_STREAMS = 4;

/** Messages, bodies and fetches between this node and its peers. */
class PeerWire implements Wire {
  readonly name = 'wire';
  readonly #limits: WireLimits;
  readonly #modules: WireModules;
  readonly #counts = new WireCounts();
  readonly #links: Links;
  readonly #fetches: FetchServer;
  #isRunning = false;

  constructor(options: WireOptions, modules: WireModules) {
    const limits = options.limits ?? wireLimits;
    const { host, clock, logger, handlers, metrics } = modules;
    this.#limits = limits;
    this.#modules = modules;
    this.#links = new Links(
      { hello: options.hello, limits },
      { host, clock, logger, handlers, counts: this.#counts, random: modules.random ?? Math.random },
    );
    this.#fetches = new FetchServer(limits, {
      handlers,
      counts: this.#counts,
      isLinked: (peer) => this.#links.to(peer) !== undefined,
      hear: (peer) => this.#links.to(peer)?.link.hear(),
      isShared: (peer) => this.#links.to(peer)?.link.isActive ?? false,
      onFault: (peer, fault) => this.#links.offended(peer, fault),
    });
    this.#counts.show(metrics, {
      links: () => this.peers().length,
      floods: () => host.floods(),
      barred: () => this.#links.barred,
      waiting: () => this.peers().reduce((sum, { waiting }) => sum + waiting, 0),
      bodyBytes: () => this.#links.bodyBytes,
      fetches: () => this.#fetches.open,
    });
  }

  async start(): Promise<void> {
    const { libp2p } = this.#modules.host;
    this.#isRunning = true;
    await libp2p.handle(MESSAGES_PROTOCOL, (stream, connection) => this.#links.accept(stream, connection), {
      maxInboundStreams: MESSAGE_STREAMS,
      maxOutboundStreams: MESSAGE_STREAMS,
    });
    const bodies = this.#limits.bodiesAtOnce * 4;
    await libp2p.handle(BODY_PROTOCOL, (stream, connection) => this.#links.acceptBody(stream, connection), {
      maxInboundStreams: bodies,
      maxOutboundStreams: bodies,
    });
    // More than are answered, so that those over the limit are told so.
    const fetches = this.#limits.fetchesPerPeer + 8;
    await libp2p.handle(FETCH_PROTOCOL, (stream, connection) => this.#acceptFetch(stream, connection), {
      maxInboundStreams: fetches,
      maxOutboundStreams: fetches,
    });
    await this.#links.start();
  }

  async stop(deadlineMs: number): Promise<void> {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    const { host, clock } = this.#modules;
    await host.libp2p.unhandle([MESSAGES_PROTOCOL, BODY_PROTOCOL, FETCH_PROTOCOL]);
    this.#fetches.close();
    const deadline = Promise.withResolvers<void>();
    const timer = clock.at(deadlineMs, deadline.resolve);
    await Promise.race([this.#links.stop(), deadline.promise]);
    timer.cancel();
  }

  send(to: NodeId, message: Message): Promise<void> {
    return new Promise((resolve, reject) => {
      const link = this.#links.to(to)?.link;
      if (link === undefined) {
        reject(noLink(to));
        return;
      }
      const isTaken = link.offer(message, (error) => (error === undefined ? resolve() : reject(error)));
      if (!isTaken) reject(busy(to));
    });
  }

  post(to: NodeId, message: Message): boolean {
    return this.#links.to(to)?.link.offer(message, undefined) ?? false;
  }

  logs(
    to: NodeId,
    executionId: ExecutionId,
    options: LogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk> {
    return fetchLogs(this.#fetchModules(to), executionId, options, signal);
  }

  async archive(
    to: NodeId,
    executionId: ExecutionId,
    signal: AbortSignal,
  ): Promise<{ stream: Readable; bytes: number }> {
    return fetchArchive(this.#fetchModules(to), executionId, signal);
  }

  peers(): readonly PeerView[] {
    return this.#links.all().flatMap(({ link }) => {
      const { hello, isUp, peer, sinceMs, rttMs, depths } = link;
      if (hello === undefined || !isUp) return [];
      const { roles, version } = hello;
      return [{ id: peer, hello: { roles, version }, since: sinceMs, rttMs, ...depths }];
    });
  }

  #fetchModules(to: NodeId): Parameters<typeof fetchLogs>[0] {
    const found = this.#links.to(to);
    if (found === undefined) throw noLink(to);
    return { connection: found.connection, counts: this.#counts, hear: () => found.link.hear() };
  }

  #acceptFetch(stream: Stream, connection: Connection): void {
    const peer = connection.remotePeer.toString();
    if (this.#links.admits(peer, stream)) this.#fetches.accept(stream, peer);
  }
}

function noLink(to: NodeId): NodeError {
  return new NodeError('NodeNotFound', `node not found: ${to}: this node has no link with it`);
}

/** One a node. Start it before the host, so that no peer comes too early. */
export function createWire(options: WireOptions, modules: WireModules): Wire {
  return new PeerWire(options, modules);
}
