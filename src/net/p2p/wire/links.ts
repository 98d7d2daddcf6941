import type { Connection, PeerId, Stream } from '@libp2p/interface';
import type { Clock, Timer } from '../../../core/clock.ts';
import type { NodeId } from '../../../core/ids.ts';
import type { Message } from '../../../core/messages.ts';
import type { Logger } from '../../../telemetry/logger.ts';
import type { P2pHost } from '../host.ts';
import { BodyInbox } from './body-inbox.ts';
import { BodySender } from './body-sender.ts';
import { ByteBudget } from './budget.ts';
import type { WireCounts } from './counts.ts';
import { WireFault } from './fault.ts';
import { type Hello, PROTOCOL_MINOR } from './frames.ts';
import { Guard } from './guard.ts';
import type { WireLimits } from './limits.ts';
import { Link, type LinkEnd } from './link.ts';
import { MESSAGES_PROTOCOL, Opener, opensLink } from './opener.ts';

/** What a peer says of itself when a link begins. */
export interface PeerHello {
  readonly roles: { readonly compute: boolean; readonly requester: boolean };
  readonly version: string;
}

/** What the node does with links and their messages. */
export interface LinkHandlers {
  /** Hello is exchanged: messages may flow. */
  peerUp(peer: NodeId, hello: PeerHello): void;
  /** There is no link any more; the reason is for people. */
  peerDown(peer: NodeId, reason: string): void;
  /** Resolves when what the message says is stored: then it is acknowledged. A rejection goes to the sender. */
  message(from: NodeId, message: Message): Promise<void>;
}

export interface LinksOptions {
  readonly hello: PeerHello;
  readonly limits: WireLimits;
}

export interface LinksModules {
  readonly host: P2pHost;
  readonly handlers: LinkHandlers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counts: WireCounts;
  readonly random: () => number;
}

/** A link, the connection it runs over, and the bodies that come beside it. */
export interface PeerLink {
  readonly link: Link;
  readonly connection: Connection;
  readonly bodies: BodyInbox;
}

/** What an offence weighs where it is not 1: these happen to honest peers too, by slowness, age or a race. */
const MILD: Readonly<Partial<Record<WireFault['reason'], number>>> = {
  stalled: 0,
  silent: 0,
  barred: 0,
  full: 0,
  internal: 0,
  throttled: 0,
  rate: 0.01,
  unknown: 0.01,
  invalid: 0.05,
  side: 0.25,
  hello: 0.25,
};

/** At most one link with every peer. */
export class Links {
  readonly #hello: Hello;
  readonly #limits: WireLimits;
  readonly #modules: LinksModules;
  readonly #guard: Guard;
  readonly #bodyBudget: ByteBudget;
  readonly #inboxBudget: ByteBudget;
  readonly #outboxBudget: ByteBudget;
  readonly #opener: Opener;
  readonly #links = new Map<NodeId, PeerLink>();
  #topology: string | undefined;
  #timer: Timer | undefined;
  #isRunning = false;

  constructor(options: LinksOptions, modules: LinksModules) {
    const { limits } = options;
    const { host, clock, random } = modules;
    this.#limits = limits;
    this.#modules = modules;
    this.#hello = { ...options.hello, peer: host.peerId, minor: PROTOCOL_MINOR, limits };
    this.#guard = new Guard(limits, { clock, onBar: (peer, untilMs) => this.#bar(peer, untilMs) });
    this.#bodyBudget = new ByteBudget(limits.bodyTotalBytes);
    this.#inboxBudget = new ByteBudget(limits.handlingTotalBytes);
    this.#outboxBudget = new ByteBudget(limits.outboxTotalBytes);
    this.#opener = new Opener(limits, {
      libp2p: host.libp2p,
      clock,
      random,
      hasLink: (peer) => this.#links.has(peer),
      onStream: (peer, stream, connection) => this.#open(peer, stream, connection),
    });
  }

  /** Peers whose connections are refused. */
  get barred(): number {
    return this.#guard.barred;
  }

  /** Memory held by bodies. */
  get bodyBytes(): number {
    return this.#bodyBudget.used;
  }

  async start(): Promise<void> {
    const { libp2p } = this.#modules.host;
    this.#isRunning = true;
    this.#opener.start();
    libp2p.addEventListener('peer:connect', this.#onConnect);
    libp2p.addEventListener('peer:disconnect', this.#onDisconnect);
    this.#topology = await libp2p.register(MESSAGES_PROTOCOL, {
      onConnect: (peer) => this.#opener.peerReady(peer.toString()),
    });
    // Those that do not speak the protocol say so.
    for (const peer of libp2p.getPeers()) this.#opener.peerReady(peer.toString());
    this.#tickOn();
  }

  /** Resolves when the peers have been told, or do not listen. */
  async stop(): Promise<void> {
    const { libp2p } = this.#modules.host;
    this.#isRunning = false;
    this.#timer?.cancel();
    this.#opener.stop();
    libp2p.removeEventListener('peer:connect', this.#onConnect);
    libp2p.removeEventListener('peer:disconnect', this.#onDisconnect);
    if (this.#topology !== undefined) libp2p.unregister(this.#topology);
    await Promise.all(this.all().map(({ link }) => link.close('stopping', 'the node stops')));
  }

  /** The link with a peer, when it is up. */
  to(peer: NodeId): PeerLink | undefined {
    const found = this.#links.get(peer);
    return found?.link.isUp === true ? found : undefined;
  }

  all(): readonly PeerLink[] {
    return [...this.#links.values()];
  }

  /** A stream of the messages protocol. */
  accept(stream: Stream, connection: Connection): void {
    const peer = connection.remotePeer.toString();
    if (!this.admits(peer, stream)) return;
    if (opensLink(this.#hello.peer, peer)) {
      this.offended(peer, new WireFault('side', 'the other side opens this stream'));
      stream.abort(new Error('the other side opens this stream'));
      return;
    }
    if (!this.#guard.mayLink(peer)) {
      this.offended(peer, new WireFault('rate', 'links opened again and again'));
      stream.abort(new Error('the stream is refused'));
      return;
    }
    const old = this.#links.get(peer);
    // The opener knows best that its old stream is gone.
    if (old !== undefined) void old.link.close('replaced', 'the peer has opened another stream');
    this.#open(peer, stream, connection);
  }

  /** A stream of the body protocol. */
  acceptBody(stream: Stream, connection: Connection): void {
    const peer = connection.remotePeer.toString();
    if (!this.admits(peer, stream)) return;
    const found = this.to(peer);
    if (found === undefined) {
      this.offended(peer, new WireFault('hello', 'a body without a link'));
      stream.abort(new Error('no link, no body'));
    } else found.bodies.accept(stream);
  }

  /** False, and the stream is reset, for a peer that is barred or opens too many. */
  admits(peer: NodeId, stream: Stream): boolean {
    const isBarred = this.#guard.isBarred(peer);
    if (this.#isRunning && !isBarred && this.#guard.mayOpen(peer)) return true;
    if (this.#isRunning) this.offended(peer, new WireFault(isBarred ? 'barred' : 'rate', 'too many streams'));
    stream.abort(new Error('the stream is refused'));
    return false;
  }

  /** Counts what was refused. Enough of it bars the peer. */
  offended(peer: NodeId, fault: WireFault): void {
    const { counts, logger } = this.#modules;
    counts.refused.add(fault.reason);
    const { reason, message: text } = fault;
    if (reason === 'internal') logger.error({ peer, text }, 'what a peer sent could not be handled');
    else logger.debug({ peer, reason, text }, 'refused what a peer sent');
    this.#guard.strike(peer, MILD[fault.reason] ?? 1);
  }

  readonly #onConnect = (event: CustomEvent<PeerId>): void => {
    this.#opener.peerConnected(event.detail.toString());
  };

  readonly #onDisconnect = (event: CustomEvent<PeerId>): void => {
    this.#opener.peerGone(event.detail.toString());
  };

  #open(peer: NodeId, stream: Stream, connection: Connection): void {
    const { clock, counts, handlers } = this.#modules;
    const sender = new BodySender(this.#limits, {
      connection,
      counts,
      budget: this.#outboxBudget,
      isShared: () => link.isActive,
    });
    const bodies = new BodyInbox(peer, this.#limits, {
      budget: this.#bodyBudget,
      counts,
      hear: () => link.hear(),
      onFault: (fault) => this.offended(peer, fault),
    });
    const link = new Link(
      { peer, hello: this.#hello, limits: this.#limits },
      {
        stream,
        clock,
        counts,
        inboxBudget: this.#inboxBudget,
        outboxBudget: this.#outboxBudget,
        record: this.#guard.of(peer),
        bodies: {
          send: (bytes) => sender.send(bytes),
          receive: (number) => bodies.receive(number),
          release: (number) => bodies.release(number),
        },
        handle: (message) => handlers.message(peer, message),
        onUp: (hello) => this.#up(peer, hello),
        onDown: (end) => {
          sender.close();
          bodies.close();
          this.#down(link, connection, end);
        },
        onRefused: (fault) => this.offended(peer, fault),
      },
    );
    this.#links.set(peer, { link, connection, bodies });
    link.start();
  }

  #up(peer: NodeId, { version, roles }: Hello): void {
    this.#opener.linkUp(peer);
    this.#modules.host.keep(peer);
    this.#modules.logger.info({ peer, version, roles }, 'linked with peer');
    this.#modules.handlers.peerUp(peer, { version, roles });
  }

  #down(link: Link, connection: Connection, { reason, text, fault }: LinkEnd): void {
    const { counts, host, logger, handlers } = this.#modules;
    const { peer } = link;
    const isCurrent = this.#links.get(peer)?.link === link;
    if (isCurrent) {
      this.#links.delete(peer);
      host.release(peer);
    }
    counts.downs.add(reason);
    if (link.hello !== undefined) {
      logger[reason === 'stopping' ? 'debug' : 'warn'](
        { peer, reason: text },
        'the link with a peer is down',
      );
      handlers.peerDown(peer, text);
    }
    if (fault !== undefined) this.offended(peer, fault);
    // Connections that carry nothing any more are no use to anybody: the next one is dialled afresh.
    const dead = reason === 'silent' ? host.libp2p.getConnections(connection.remotePeer) : [connection];
    if (reason === 'silent' || reason === 'stalled') for (const one of dead) one.abort(new Error(text));
    if (isCurrent) this.#opener.linkDown(peer, reason === 'goodbye');
  }

  #bar(peer: NodeId, untilMs: number): void {
    const { clock, host, logger } = this.#modules;
    const seconds = Math.round((untilMs - clock.nowMs()) / 1000);
    logger.warn({ peer, seconds }, 'a peer broke the protocol again and again; it is barred');
    host.bar(peer, untilMs);
  }

  #tickOn(): void {
    const { clock } = this.#modules;
    const tickMs = this.#limits.pingMs / 2;
    this.#timer = clock.at(clock.nowMs() + tickMs, () => {
      if (!this.#isRunning) return;
      for (const { link, bodies } of this.#links.values()) {
        link.tick(tickMs);
        bodies.tick(tickMs);
      }
      this.#tickOn();
    });
  }
}
