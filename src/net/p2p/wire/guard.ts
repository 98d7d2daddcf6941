import type { Clock } from '../../../core/clock.ts';
import type { NodeId } from '../../../core/ids.ts';
import { TokenBucket } from '../../../core/token-bucket.ts';
import type { WireLimits } from './limits.ts';

/** What the node remembers of a peer beyond its connections. */
export interface PeerRecord {
  readonly streams: TokenBucket;
  readonly links: TokenBucket;
  readonly messages: TokenBucket;
  /** Offences since `sinceMs`. */
  strikes: number;
  sinceMs: number;
  /** How often it was barred. */
  bars: number;
  barredUntilMs: number;
}

export type GuardLimits = Pick<
  WireLimits,
  | 'messagesPerSecond'
  | 'streamsPerSecond'
  | 'streamBurst'
  | 'linksPerSecond'
  | 'linkBurst'
  | 'strikes'
  | 'strikesWithinMs'
  | 'barMs'
  | 'barMaxMs'
  | 'rememberedPeers'
>;

/** Rates and offences by peer. A peer that offends again and again is barred for a while, each time for longer. */
export class Guard {
  readonly #limits: GuardLimits;
  readonly #clock: Clock;
  readonly #onBar: (peer: NodeId, untilMs: number) => void;
  readonly #peers = new Map<NodeId, PeerRecord>();

  constructor(
    limits: GuardLimits,
    modules: { readonly clock: Clock; readonly onBar: (peer: NodeId, untilMs: number) => void },
  ) {
    this.#limits = limits;
    this.#clock = modules.clock;
    this.#onBar = modules.onBar;
  }

  /** What is known of the peer. The longest unseen are forgotten, when there are too many. */
  of(peer: NodeId): PeerRecord {
    let record = this.#peers.get(peer);
    if (record === undefined) {
      const nowMs = this.#clock.nowMs();
      const { messagesPerSecond, streamsPerSecond, streamBurst, linksPerSecond, linkBurst } = this.#limits;
      record = {
        streams: new TokenBucket(streamsPerSecond, streamBurst, nowMs),
        links: new TokenBucket(linksPerSecond, linkBurst, nowMs),
        messages: new TokenBucket(messagesPerSecond, messagesPerSecond, nowMs),
        strikes: 0,
        sinceMs: nowMs,
        bars: 0,
        barredUntilMs: 0,
      };
    } else this.#peers.delete(peer);
    this.#peers.set(peer, record);
    if (this.#peers.size > this.#limits.rememberedPeers) {
      for (const oldest of this.#peers.keys()) {
        this.#peers.delete(oldest);
        break;
      }
    }
    return record;
  }

  /** False when the peer opens streams faster than it may. */
  mayOpen(peer: NodeId): boolean {
    return this.of(peer).streams.tryTake(1, this.#clock.nowMs());
  }

  /** The same for links: each is told to the roles. */
  mayLink(peer: NodeId): boolean {
    return this.of(peer).links.tryTake(1, this.#clock.nowMs());
  }

  isBarred(peer: NodeId): boolean {
    const untilMs = this.#peers.get(peer)?.barredUntilMs ?? 0;
    return untilMs > this.#clock.nowMs();
  }

  /** Peers barred now. */
  get barred(): number {
    const nowMs = this.#clock.nowMs();
    let found = 0;
    for (const { barredUntilMs } of this.#peers.values()) if (barredUntilMs > nowMs) found += 1;
    return found;
  }

  /** The peer has broken the protocol. `weight` 1 for what no honest peer does. True when that has barred it. */
  strike(peer: NodeId, weight = 1): boolean {
    const { strikes, strikesWithinMs, barMs, barMaxMs } = this.#limits;
    const record = this.of(peer);
    const nowMs = this.#clock.nowMs();
    if (nowMs - record.sinceMs > strikesWithinMs) {
      record.strikes = 0;
      record.sinceMs = nowMs;
    }
    record.strikes += weight;
    if (record.strikes < strikes) return false;
    record.strikes = 0;
    record.barredUntilMs = nowMs + Math.min(barMaxMs, barMs * 2 ** Math.min(record.bars, 16));
    record.bars += 1;
    this.#onBar(peer, record.barredUntilMs);
    return true;
  }
}
