import type { Stream } from '@libp2p/interface';
import type { Clock } from '../../../core/clock.ts';
import { type ErrorData, fromErrorData, NodeError } from '../../../core/errors.ts';
import type { NodeId } from '../../../core/ids.ts';
import type { Message } from '../../../core/messages.ts';
import { Answers } from './answers.ts';
import { isLarge, sendApart } from './apart.ts';
import type { ByteBudget } from './budget.ts';
import type { WireCounts } from './counts.ts';
import { type FaultReason, toFault, WireFault } from './fault.ts';
import { encodeBatch, encodeFrame, type Frame, type Hello } from './frames.ts';
import type { PeerRecord } from './guard.ts';
import { Inbox } from './inbox.ts';
import type { WireLimits } from './limits.ts';
import { LinkReader } from './link-reader.ts';
import { encodeMessage, type MessageType } from './messages.ts';
import { busy, LinkOutbox, type Outgoing, type Settle, type Window } from './outbox.ts';
import { Port } from './port.ts';
import { Pulse } from './pulse.ts';

export interface LinkOptions {
  readonly peer: NodeId;
  /** What this node says of itself. */
  readonly hello: Hello;
  readonly limits: WireLimits;
}

/** The two directions of large payloads, on streams of their own. */
export interface LinkBodies {
  /** Sends one. Resolves with its number when the peer has it. @throws NodeError LinkLost, Busy */
  send(bytes: Uint8Array): Promise<number>;
  /** One that the peer sends. @throws NodeError LinkLost */
  receive(number: number): Promise<Uint8Array>;
  release(number: number): void;
}

export interface LinkModules {
  readonly stream: Stream;
  readonly bodies: LinkBodies;
  readonly record: PeerRecord;
  readonly counts: WireCounts;
  /** Memory of all links together. */
  readonly inboxBudget: ByteBudget;
  readonly outboxBudget: ByteBudget;
  readonly clock: Clock;
  readonly handle: (message: Message) => Promise<void>;
  readonly onUp: (hello: Hello) => void;
  /** Once. */
  readonly onDown: (end: LinkEnd) => void;
  /** Something was refused and the link goes on. */
  readonly onRefused: (fault: WireFault) => void;
}

/** Why a link ended. */
export interface LinkEnd {
  /** A label of `bacalhau_wire_link_downs_total`: a fault of the peer, or what happened. */
  readonly reason: FaultReason | 'closed' | 'reset' | 'goodbye' | 'replaced' | 'stopping';
  /** For people. */
  readonly text: string;
  /** Set when this side ended it because of what the peer did. */
  readonly fault: WireFault | undefined;
}

type State = 'greeting' | 'up' | 'down';

/** A link over which nothing passed for so long leaves its connection to others. */
const ACTIVE_MS = 20;

/** The one stream of messages with a peer: both directions, answers, back-pressure, signs of life. */
export class Link {
  readonly peer: NodeId;
  readonly sinceMs: number;
  readonly #options: LinkOptions;
  readonly #modules: LinkModules;
  readonly #port: Port;
  readonly #reader: LinkReader;
  readonly #inbox: Inbox;
  readonly #outbox: LinkOutbox;
  #state: State = 'greeting';
  #hello: Hello | undefined;
  #window: Window;
  readonly #answers: Answers;
  #isScheduled = false;
  /** When the last batch passed, either way. */
  #activeMs = Number.NEGATIVE_INFINITY;
  /** The stream takes no more until it drains. */
  #isBlocked = false;
  readonly #pulse: Pulse;

  constructor(options: LinkOptions, modules: LinkModules) {
    const { peer, limits } = options;
    this.peer = peer;
    this.sinceMs = modules.clock.nowMs();
    this.#options = options;
    this.#modules = modules;
    this.#window = limits;
    this.#pulse = new Pulse(limits);
    this.#outbox = new LinkOutbox(limits, modules.outboxBudget);
    this.#answers = new Answers(limits, { clock: modules.clock, onDue: () => this.#schedule() });
    this.#inbox = new Inbox(peer, limits, {
      handle: modules.handle,
      answer: (id, error) => this.#answer(id, error),
      body: (number) => modules.bodies.receive(number),
      releaseBody: (number) => modules.bodies.release(number),
      refused: modules.onRefused,
      onRoom: () => this.#reader.readOn(),
      counts: modules.counts,
      budget: modules.inboxBudget,
    });
    this.#port = new Port(modules.stream, {
      data: (chunk) => this.#received(chunk),
      drained: () => this.#drained(),
      ended: () => this.#ended(),
      closed: (error) => {
        if (error === undefined) void this.#end('closed', 'the peer closed the stream', undefined);
        else void this.#end('reset', error.message, undefined);
      },
    });
    this.#reader = new LinkReader(limits, {
      port: this.#port,
      clock: modules.clock,
      onFrame: (frame) => this.#onFrame(frame),
      isFull: () => this.#inbox.isFull,
      onFault: (fault) => this.fail(fault),
    });
  }

  /** Says hello. */
  start(): void {
    this.#write(encodeFrame({ kind: 'hello', hello: this.#options.hello }));
  }

  get hello(): Hello | undefined {
    return this.#hello;
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** True while messages pass. */
  get isActive(): boolean {
    return performance.now() - this.#activeMs < ACTIVE_MS;
  }

  /** Round trip of the last ping, in milliseconds. */
  get rttMs(): number | undefined {
    return this.#pulse.rttMs;
  }

  /** Messages that wait to be sent, that wait for their answer, and that are being handled here. */
  get depths(): { waiting: number; unanswered: number; handling: number } {
    return {
      waiting: this.#outbox.waiting,
      unanswered: this.#outbox.unanswered,
      handling: this.#inbox.handling,
    };
  }

  /** Sends a message; `settle` hears of its end, or is left out where no answer is wanted. False: no room, or no link. */
  offer(message: Message, settle: Settle | undefined): boolean {
    if (this.#state !== 'up') return false;
    const outgoing = { type: message.type, ...encodeMessage(message), settle };
    if (isLarge(outgoing, this.#options.limits.inlineBytes)) {
      void this.#offerLarge(outgoing);
      return true;
    }
    if (!this.#outbox.tryPush(outgoing)) return false;
    this.#schedule();
    return true;
  }

  /** Something of the peer came by another stream: it lives. */
  hear(): void {
    this.#pulse.hear();
  }

  /** Called every `tickMs`: looks for signs of life and gives them. */
  tick(tickMs: number): void {
    if (this.#state === 'down') return;
    const isGreeting = this.#state === 'greeting';
    // Memory that others held may be free.
    this.#reader.readOn();
    try {
      const ping = this.#pulse.tick(tickMs, {
        isGreeting,
        isHeld: this.#reader.isHeld,
        isBlocked: this.#isBlocked,
      });
      if (ping !== undefined) this.#write(encodeFrame({ kind: 'ping', number: ping }));
    } catch (thrown) {
      this.#failWith(thrown);
    }
  }

  /** Ends the link because of the peer: it is told why, as far as it listens. */
  fail(fault: WireFault): void {
    this.#sayGoodbye(fault.reason, fault.message);
    void this.#end(fault.reason, fault.message, fault);
  }

  /** Ends the link for a reason of this node: answers that are known are sent before. */
  close(reason: 'replaced' | 'stopping', text: string): Promise<void> {
    this.#flush();
    this.#sayGoodbye(reason, text);
    return this.#end(reason, text, undefined);
  }

  async #offerLarge(message: Outgoing): Promise<void> {
    const { inlineBytes, bodyBytes } = this.#options.limits;
    const accepted = Math.min(bodyBytes, this.#hello?.limits.bodyBytes ?? 0);
    try {
      const rest = await sendApart(message, { peer: this.peer, inlineBytes, bodyBytes: accepted }, (bytes) =>
        this.#modules.bodies.send(bytes),
      );
      if (this.#state !== 'up') throw linkLost(this.peer, 'it went down while a large message crossed');
      if (!this.#outbox.tryPush(rest)) throw busy(this.peer);
      this.#schedule();
    } catch (thrown) {
      message.settle?.(thrown instanceof NodeError ? thrown : linkLost(this.peer, String(thrown)));
    }
  }

  #answer(id: number, error: ErrorData | undefined): void {
    if (this.#state !== 'up') return;
    this.#answers.add(id, error);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isBlocked) return;
    this.#isScheduled = true;
    // Whatever this turn of the loop still adds goes into the same frame.
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const { counts } = this.#modules;
    const count = (type: MessageType): void => counts.out.add(type);
    while (this.#state === 'up' && !this.#isBlocked) {
      const envelopes = this.#outbox.take(this.#window, performance.now(), count);
      const { acks, nacks } = this.#answers.take();
      if (envelopes.length === 0 && acks.length === 0 && nacks.length === 0) return;
      this.#activeMs = performance.now();
      this.#write(encodeBatch({ envelopes, acks, nacks }));
    }
  }

  #write(bytes: Uint8Array): void {
    this.#pulse.speak();
    this.#modules.counts.bytesOut.add('messages', bytes.length);
    try {
      if (!this.#port.send(bytes)) this.#isBlocked = true;
    } catch (thrown) {
      void this.#end('reset', thrown instanceof Error ? thrown.message : String(thrown), undefined);
    }
  }

  #drained(): void {
    this.#isBlocked = false;
    this.#pulse.drained();
    this.#flush();
  }

  #received(chunk: Uint8Array): void {
    if (this.#state === 'down') return;
    this.#pulse.hear();
    this.#modules.counts.bytesIn.add('messages', chunk.length);
    this.#reader.push(chunk);
  }

  /** How much work it was, in messages. */
  #onFrame(frame: Frame): number {
    if (this.#state === 'greeting' && frame.kind !== 'hello' && frame.kind !== 'goodbye') {
      throw new WireFault('hello', `a ${frame.kind} frame came before the hello`);
    }
    switch (frame.kind) {
      case 'hello':
        this.#greeted(frame.hello);
        break;
      case 'batch': {
        const { envelopes, acks, nacks } = frame.batch;
        this.#activeMs = performance.now();
        this.#charge(1 + envelopes.length);
        for (const id of acks) this.#answered(id, undefined);
        for (const { id, error } of nacks) this.#answered(id, error);
        for (const envelope of envelopes) this.#inbox.receive(envelope);
        if (acks.length + nacks.length > 0 && this.#outbox.waiting > 0) this.#schedule();
        return 1 + envelopes.length;
      }
      case 'ping':
        this.#charge(1);
        if (!this.#isBlocked) this.#write(encodeFrame({ kind: 'pong', number: frame.number }));
        break;
      case 'pong':
        this.#pulse.pong(frame.number);
        break;
      case 'goodbye':
        void this.#end('goodbye', `the peer says: ${frame.text} (${frame.reason})`, undefined);
        break;
      case 'unknown':
        this.#charge(1);
        this.#modules.onRefused(
          new WireFault('unknown', `frame kind ${frame.number} is not known to this node`),
        );
    }
    return 1;
  }

  #greeted(hello: Hello): void {
    if (this.#state !== 'greeting') throw new WireFault('hello', 'a second hello');
    if (hello.peer !== this.peer) {
      throw new WireFault('forged', `a hello of ${hello.peer}, sent by ${this.peer}`);
    }
    const { windowMessages, windowBytes, frameBytes } = this.#options.limits;
    if (hello.limits.frameBytes < frameBytes || hello.limits.windowMessages < 1) {
      throw new WireFault('hello', `frames of ${frameBytes} bytes and a window are needed`);
    }
    this.#hello = hello;
    this.#window = {
      windowMessages: Math.min(windowMessages, hello.limits.windowMessages),
      windowBytes: Math.min(windowBytes, hello.limits.windowBytes),
    };
    this.#state = 'up';
    this.#modules.onUp(hello);
  }

  #answered(id: number, error: ErrorData | undefined): void {
    const sentMs = this.#outbox.answered(id, error === undefined ? undefined : fromErrorData(error));
    if (sentMs === undefined) throw new WireFault('sequence', `an answer to ${id}, which nobody asked`);
    this.#modules.counts.roundTrips.observe((performance.now() - sentMs) / 1000);
  }

  /** Counts what came against the peer's rate; over it, the stream is not read for a while. */
  #charge(messages: number): void {
    const { clock, record, onRefused } = this.#modules;
    const waitMs = record.messages.charge(messages, clock.nowMs());
    if (waitMs === 0 || !this.#reader.holdFor(waitMs)) return;
    onRefused(
      new WireFault('throttled', `more than ${this.#options.limits.messagesPerSecond} messages a second`),
    );
  }

  #ended(): void {
    if (this.#state === 'down') return;
    if (!this.#reader.isComplete) this.fail(new WireFault('truncated', 'the stream ended inside a frame'));
    else void this.#end('closed', 'the peer closed the stream', undefined);
  }

  #sayGoodbye(reason: string, text: string): void {
    if (this.#state !== 'down' && !this.#isBlocked) {
      this.#write(encodeFrame({ kind: 'goodbye', reason, text }));
    }
  }

  #failWith(thrown: unknown): void {
    this.fail(toFault(thrown));
  }

  async #end(reason: LinkEnd['reason'], text: string, fault: WireFault | undefined): Promise<void> {
    if (this.#state === 'down') return;
    this.#state = 'down';
    this.#answers.stop();
    this.#reader.stop();
    this.#outbox.fail(linkLost(this.peer, text));
    this.#modules.onDown({ reason, text, fault });
    await this.#port.shut(this.#options.limits.closeMs);
  }
}

function linkLost(peer: NodeId, text: string): NodeError {
  return new NodeError('LinkLost', `the link to node ${peer} was lost: ${text}`);
}
