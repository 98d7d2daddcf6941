import type { Stream } from '@libp2p/interface';
import type { NodeId } from '../../../core/ids.ts';
import type { ByteBudget } from './budget.ts';
import type { WireCounts } from './counts.ts';
import { toFault, WireFault } from './fault.ts';
import { FrameReader } from './frame-reader.ts';
import { bodyLost } from './inbox.ts';
import type { WireLimits } from './limits.ts';
import { MsgpackReader } from './msgpack.ts';
import { takenFrame } from './paced-writer.ts';
import { Port } from './port.ts';

/** The frame before a body's bytes: two numbers. */
const HEADER_BYTES = 64;

const CLOSE_MS = 1000;

type BodyState = 'coming' | 'here' | 'failed';

interface Body {
  state: BodyState;
  readonly arrival: PromiseWithResolvers<Uint8Array>;
  /** A message wants it. */
  isClaimed: boolean;
  /** What it holds of the budget. */
  bytes: number;
  /** Ticks without progress. */
  idle: number;
  /** Undefined until its stream has come. */
  port: Port | undefined;
}

export interface BodyInboxModules {
  /** Of all peers together. */
  readonly budget: ByteBudget;
  readonly counts: WireCounts;
  /** Bytes of the peer came: it lives. */
  readonly hear: () => void;
  readonly onFault: (fault: WireFault) => void;
}

export type BodyInboxLimits = Pick<
  WireLimits,
  'bodyBytes' | 'bodyPeerBytes' | 'bodyIdleMs' | 'bodiesWaiting'
>;

/** Bodies that one peer sends, by their number. A body and the message that names it may come in either order. */
export class BodyInbox {
  readonly #peer: NodeId;
  readonly #limits: BodyInboxLimits;
  readonly #modules: BodyInboxModules;
  readonly #bodies = new Map<number, Body>();
  #bytes = 0;

  constructor(peer: NodeId, limits: BodyInboxLimits, modules: BodyInboxModules) {
    this.#peer = peer;
    this.#limits = limits;
    this.#modules = modules;
  }

  /** A stream of the body protocol. */
  accept(stream: Stream): void {
    const receiver = new BodyReceiver(stream, this.#limits.bodyBytes, {
      start: (number, bytes) => this.#start(number, bytes, receiver.port),
      progress: (number, bytes) => this.#progress(number, bytes),
      done: (number, bytes) => this.#done(number, bytes),
      failed: (number, fault) => this.#failed(number, fault),
      onFault: this.#modules.onFault,
      onRoom: (retry) => this.#modules.budget.onGiven(retry),
    });
  }

  /** The body's bytes, when all have come. @throws NodeError LinkLost */
  receive(number: number): Promise<Uint8Array> {
    const body = this.#of(number);
    body.isClaimed = true;
    return body.arrival.promise;
  }

  /** The message that named it has been handled. */
  release(number: number): void {
    const body = this.#bodies.get(number);
    if (body === undefined) return;
    this.#bodies.delete(number);
    this.#give(body);
    if (body.state === 'coming') body.port?.abort(new Error('nobody waits for this body'));
  }

  /** Drops what makes no progress and what nobody asks for. */
  tick(tickMs: number): void {
    for (const [number, body] of this.#bodies) {
      if (body.state === 'here' && body.isClaimed) continue;
      body.idle += 1;
      if (body.idle * tickMs < this.#limits.bodyIdleMs) continue;
      if (body.state === 'here') {
        this.#modules.onFault(new WireFault('invalid', `no message named body ${number}`));
      }
      this.#drop(number, body, `it made no progress for ${this.#limits.bodyIdleMs} ms`);
    }
  }

  /** The link is down. */
  close(): void {
    for (const [number, body] of this.#bodies) this.#drop(number, body, 'the link is down');
  }

  /** False: there is no room now, ask again. @throws WireFault */
  #start(number: number, bytes: number, port: Port): boolean {
    const body = this.#of(number);
    if (body.port !== undefined && body.port !== port) {
      throw new WireFault('sequence', `a second body ${number}`);
    }
    body.port = port;
    body.idle = 0;
    if (this.#bytes + bytes > this.#limits.bodyPeerBytes || !this.#modules.budget.tryTake(bytes))
      return false;
    body.bytes = bytes;
    this.#bytes += bytes;
    return true;
  }

  #progress(number: number, bytes: number): void {
    this.#modules.hear();
    this.#modules.counts.bytesIn.add('body', bytes);
    const body = this.#bodies.get(number);
    if (body !== undefined) body.idle = 0;
  }

  #done(number: number, bytes: Uint8Array): void {
    const body = this.#bodies.get(number);
    if (body === undefined) return;
    body.state = 'here';
    body.idle = 0;
    body.arrival.resolve(bytes);
  }

  /** The stream of a body ended too early. What was learned stays until its message comes. */
  #failed(number: number, fault: WireFault): void {
    const body = this.#bodies.get(number);
    if (body === undefined || body.state !== 'coming') return;
    body.state = 'failed';
    this.#give(body);
    body.arrival.reject(bodyLost(`body ${number} of node ${this.#peer}: ${fault.message}`));
  }

  #drop(number: number, body: Body, why: string): void {
    this.#bodies.delete(number);
    this.#give(body);
    body.port?.abort(new Error(why));
    body.arrival.reject(bodyLost(`body ${number} of node ${this.#peer}: ${why}`));
  }

  #give(body: Body): void {
    const { bytes } = body;
    body.bytes = 0;
    this.#bytes -= bytes;
    if (bytes > 0) this.#modules.budget.give(bytes);
  }

  #of(number: number): Body {
    const known = this.#bodies.get(number);
    if (known !== undefined) return known;
    const arrival = Promise.withResolvers<Uint8Array>();
    // A body that nobody asks for fails in silence.
    arrival.promise.catch(() => undefined);
    const body: Body = { state: 'coming', arrival, isClaimed: false, bytes: 0, idle: 0, port: undefined };
    this.#bodies.set(number, body);
    return body;
  }
}

interface BodyEvents {
  /** False: not now, but after `onRoom`. */
  start(number: number, bytes: number): boolean;
  progress(number: number, bytes: number): void;
  done(number: number, bytes: Uint8Array): void;
  failed(number: number, fault: WireFault): void;
  onFault(fault: WireFault): void;
  onRoom(retry: () => void): () => void;
}

/** One stream of the body protocol: a frame [number, bytes], the bytes, the end; the other way, what has been taken. */
class BodyReceiver {
  readonly port: Port;
  readonly #events: BodyEvents;
  readonly #most: number;
  readonly #header = new FrameReader(HEADER_BYTES);
  #number: number | undefined;
  #length = 0;
  #filled = 0;
  /** The header included. */
  #taken = 0;
  #buffer: Buffer | undefined;
  #stopWaiting: (() => void) | undefined;

  constructor(stream: Stream, most: number, events: BodyEvents) {
    this.#most = most;
    this.#events = events;
    this.port = new Port(stream, {
      data: (chunk) => this.#guarded(() => this.#received(chunk)),
      drained: () => undefined,
      ended: () => this.#guarded(() => this.#ended()),
      closed: () => this.#closed(),
    });
  }

  #received(chunk: Uint8Array): void {
    this.#taken += chunk.length;
    if (this.#number !== undefined) {
      this.#fill(chunk);
      return;
    }
    this.#header.push(chunk);
    const bytes = this.#header.next();
    if (bytes === undefined) return;
    const reader = new MsgpackReader(bytes);
    if (reader.array('body header') < 2) throw new WireFault('malformed', 'body header: two numbers');
    const number = reader.uint('body number');
    const length = reader.uint('body bytes');
    if (length > this.#most) {
      throw new WireFault('oversized', `a body of ${length} bytes; ${this.#most} are allowed`);
    }
    this.#number = number;
    this.#length = length;
    this.#begin(number);
  }

  /** Takes memory for the body, or waits for it with the stream unread. */
  #begin(number: number): void {
    if (!this.#events.start(number, this.#length)) {
      this.port.pause();
      this.#stopWaiting ??= this.#events.onRoom(() => this.#guarded(() => this.#begin(number)));
      return;
    }
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    this.#buffer = Buffer.allocUnsafe(this.#length);
    this.#fill(this.#header.rest());
    if (this.port.isPaused) this.port.resume();
  }

  #fill(chunk: Uint8Array): void {
    const buffer = this.#buffer;
    const number = this.#number;
    if (buffer === undefined || number === undefined) return;
    if (this.#filled + chunk.length > this.#length) {
      throw new WireFault('oversized', `body ${number}: more than the ${this.#length} bytes it announced`);
    }
    buffer.set(chunk, this.#filled);
    this.#filled += chunk.length;
    this.#events.progress(number, chunk.length);
    this.port.send(takenFrame(this.#taken));
  }

  #ended(): void {
    const number = this.#number;
    if (number === undefined || this.#filled < this.#length || this.#buffer === undefined) {
      throw new WireFault('truncated', `body ${number ?? '?'}: ${this.#filled} of ${this.#length} bytes`);
    }
    this.#events.done(number, this.#buffer);
    void this.port.endWriting(CLOSE_MS);
  }

  #closed(): void {
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    // After its end it has arrived already.
    if (this.#number !== undefined) {
      this.#events.failed(this.#number, new WireFault('truncated', 'its stream was reset'));
    }
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      const fault = toFault(thrown);
      if (this.#number !== undefined) this.#events.failed(this.#number, fault);
      this.#events.onFault(fault);
      this.port.abort(fault);
    }
  }
}
