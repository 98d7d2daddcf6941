import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import type { Clock, Timer } from '../../../core/clock.ts';
import type { NodeId } from '../../../core/ids.ts';
import type { WireLimits } from './limits.ts';

/** One stream of messages per pair of peers. */
export const MESSAGES_PROTOCOL = '/bacalhau/messages/1.0.0';

/** The peer whose id sorts first opens the link; a stream from the other side is refused. */
export function opensLink(self: NodeId, peer: NodeId): boolean {
  return self < peer;
}

export interface OpenerModules {
  readonly libp2p: Libp2p;
  readonly clock: Clock;
  readonly random: () => number;
  readonly hasLink: (peer: NodeId) => boolean;
  readonly onStream: (peer: NodeId, stream: Stream, connection: Connection) => void;
}

interface Attempt {
  /** Waits double with each, until a link has lasted. */
  failures: number;
  timer: Timer | undefined;
  isOpening: boolean;
  /** When the last link began. */
  upMs: number | undefined;
}

export type OpenerLimits = Pick<WireLimits, 'reopenMinMs' | 'reopenMaxMs' | 'helloMs'>;

/** Opens the link to every connected peer that is this side's to open, again and again while it is connected. */
export class Opener {
  readonly #limits: OpenerLimits;
  readonly #modules: OpenerModules;
  readonly #attempts = new Map<NodeId, Attempt>();
  #isRunning = false;

  constructor(limits: OpenerLimits, modules: OpenerModules) {
    this.#limits = limits;
    this.#modules = modules;
  }

  start(): void {
    this.#isRunning = true;
  }

  stop(): void {
    this.#isRunning = false;
    for (const { timer } of this.#attempts.values()) timer?.cancel();
    this.#attempts.clear();
  }

  /**
   * The peer is connected. Mostly identify says at once which protocols it speaks; where that fails, the stream is
   * tried all the same.
   */
  peerConnected(peer: NodeId): void {
    const { clock } = this.#modules;
    clock.at(clock.nowMs() + this.#limits.helloMs, () => this.peerReady(peer));
  }

  /** The peer is connected and speaks the protocol. */
  peerReady(peer: NodeId): void {
    if (!this.#isRunning || !opensLink(this.#modules.libp2p.peerId.toString(), peer)) return;
    if (this.#attempts.has(peer)) return;
    const attempt: Attempt = { failures: 0, timer: undefined, isOpening: false, upMs: undefined };
    this.#attempts.set(peer, attempt);
    void this.#open(peer, attempt);
  }

  /** The last connection to the peer has ended. */
  peerGone(peer: NodeId): void {
    this.#attempts.get(peer)?.timer?.cancel();
    this.#attempts.delete(peer);
  }

  /** Hello was exchanged. */
  linkUp(peer: NodeId): void {
    const attempt = this.#attempts.get(peer);
    if (attempt !== undefined) attempt.upMs = this.#modules.clock.nowMs();
  }

  /** The link is down. `patient` where the peer does not want one now. */
  linkDown(peer: NodeId, patient: boolean): void {
    const attempt = this.#attempts.get(peer);
    if (attempt === undefined) return;
    const lastedMs = this.#modules.clock.nowMs() - (attempt.upMs ?? Number.POSITIVE_INFINITY);
    if (lastedMs > this.#limits.reopenMaxMs) attempt.failures = 0;
    attempt.upMs = undefined;
    if (patient) attempt.failures = Math.max(attempt.failures, 6);
    this.#later(peer, attempt);
  }

  #later(peer: NodeId, attempt: Attempt): void {
    const { clock, random } = this.#modules;
    const { reopenMinMs, reopenMaxMs } = this.#limits;
    const waitMs = Math.min(reopenMaxMs, reopenMinMs * 2 ** Math.min(attempt.failures, 16));
    attempt.failures += 1;
    attempt.timer?.cancel();
    attempt.timer = clock.at(clock.nowMs() + waitMs * (0.5 + random() / 2), () => {
      void this.#open(peer, attempt);
    });
  }

  async #open(peer: NodeId, attempt: Attempt): Promise<void> {
    const { libp2p, hasLink, onStream } = this.#modules;
    if (attempt.isOpening || hasLink(peer)) return;
    const connection = libp2p
      .getConnections()
      .find((one) => one.status === 'open' && one.remotePeer.toString() === peer);
    // A peer that is gone comes back by `peerReady`.
    if (connection === undefined) {
      this.#attempts.delete(peer);
      return;
    }
    attempt.isOpening = true;
    try {
      const signal = AbortSignal.timeout(this.#limits.helloMs);
      const stream = await connection.newStream(MESSAGES_PROTOCOL, { signal });
      if (this.#attempts.get(peer) === attempt) onStream(peer, stream, connection);
      else stream.abort(new Error('not wanted any more'));
    } catch (thrown) {
      if (this.#attempts.get(peer) !== attempt) return;
      if (thrown instanceof Error && thrown.name === 'UnsupportedProtocolError') this.#attempts.delete(peer);
      else this.#later(peer, attempt);
    } finally {
      attempt.isOpening = false;
    }
  }
}
