import type { Connection } from '@libp2p/interface';
import { NodeError } from '../../../core/errors.ts';
import type { ByteBudget } from './budget.ts';
import type { WireCounts } from './counts.ts';
import { withLength } from './frames.ts';
import type { WireLimits } from './limits.ts';
import { pack } from './msgpack.ts';
import { busy } from './outbox.ts';
import { PacedWriter } from './paced-writer.ts';

/** One body, one stream. */
export const BODY_PROTOCOL = '/bacalhau/body/1.0.0';

/** Bytes given to the stream in one turn of the loop: small messages pass between. */
const CHUNK_BYTES = 32_768;

export type BodySenderLimits = Pick<
  WireLimits,
  'bodiesAtOnce' | 'bodiesWaiting' | 'bodyPeerBytes' | 'bodyIdleMs'
>;

export interface BodySenderModules {
  readonly connection: Connection;
  readonly counts: WireCounts;
  /** True while messages pass over the connection. */
  readonly isShared: () => boolean;
  /** Bytes that wait to be sent, to all peers together. */
  readonly budget: ByteBudget;
}

/** Large payloads to one peer: a few at once, the others wait for a place. */
export class BodySender {
  readonly #limits: BodySenderLimits;
  readonly #connection: Connection;
  readonly #counts: WireCounts;
  readonly #budget: ByteBudget;
  readonly #isShared: () => boolean;
  readonly #closing = new AbortController();
  readonly #waiting: (() => void)[] = [];
  #crossing = 0;
  /** Of those that cross and those that wait. */
  #bytes = 0;
  #last = 0;

  constructor(limits: BodySenderLimits, modules: BodySenderModules) {
    this.#limits = limits;
    this.#connection = modules.connection;
    this.#counts = modules.counts;
    this.#budget = modules.budget;
    this.#isShared = modules.isShared;
  }

  /** Resolves with the body's number when the peer has all of it. @throws NodeError LinkLost, Busy */
  async send(bytes: Uint8Array): Promise<number> {
    const { bodiesWaiting, bodyPeerBytes } = this.#limits;
    const peer = this.#connection.remotePeer.toString();
    const { length } = bytes;
    if (this.#waiting.length >= bodiesWaiting || this.#bytes + length > bodyPeerBytes) throw busy(peer);
    if (!this.#budget.tryTake(length)) throw busy(peer);
    this.#bytes += length;
    try {
      return await this.#inTurn(peer, bytes);
    } finally {
      this.#bytes -= length;
      this.#budget.give(length);
    }
  }

  async #inTurn(peer: string, bytes: Uint8Array): Promise<number> {
    while (this.#crossing >= this.#limits.bodiesAtOnce && !this.#closing.signal.aborted) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#crossing += 1;
    try {
      this.#last += 1;
      const number = this.#last;
      await this.#cross(number, bytes);
      return number;
    } catch (thrown) {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      throw new NodeError('LinkLost', `a body of ${bytes.length} bytes did not reach node ${peer}: ${text}`, {
        cause: thrown,
      });
    } finally {
      this.#crossing -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Ends what crosses. */
  close(): void {
    this.#closing.abort(new Error('the link is down'));
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #cross(number: number, bytes: Uint8Array): Promise<void> {
    const { signal } = this.#closing;
    signal.throwIfAborted();
    const stream = await this.#connection.newStream(BODY_PROTOCOL, { signal });
    const { bodyIdleMs } = this.#limits;
    const writer = new PacedWriter(stream, {
      idleMs: bodyIdleMs,
      isShared: this.#isShared,
      onData: (chunk) => {
        try {
          writer.taken(chunk);
        } catch (thrown) {
          writer.abort(thrown instanceof Error ? thrown : new Error(String(thrown)));
        }
      },
    });
    const abort = (): void => writer.abort(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await writer.write(withLength(pack([number, bytes.length])));
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
        const chunk = bytes.subarray(at, at + CHUNK_BYTES);
        await writer.write(chunk);
        this.#counts.bytesOut.add('body', chunk.length);
      }
      await writer.end(bodyIdleMs);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}
