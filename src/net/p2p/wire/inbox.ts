import { type ErrorData, NodeError, toErrorData } from '../../../core/errors.ts';
import type { NodeId } from '../../../core/ids.ts';
import type { Message } from '../../../core/messages.ts';
import type { ByteBudget } from './budget.ts';
import type { WireCounts } from './counts.ts';
import { toFault, WireFault } from './fault.ts';
import type { Envelope } from './frames.ts';
import type { WireLimits } from './limits.ts';
import { decodeMessage, type MessageType, typeOfCode } from './messages.ts';

export interface InboxModules {
  /** Resolves when what the message says is stored. */
  readonly handle: (message: Message) => Promise<void>;
  /** Sends the answer to a request. */
  readonly answer: (id: number, error: ErrorData | undefined) => void;
  /** The bytes of a body stream. Rejects when they do not come. */
  readonly body: (number: number) => Promise<Uint8Array>;
  /** What the body held is no longer needed here. */
  readonly releaseBody: (number: number) => void;
  /** A message was refused. */
  readonly refused: (fault: WireFault) => void;
  /** There is room again after `isFull`. */
  readonly onRoom: () => void;
  readonly counts: WireCounts;
  /** Bytes of messages being handled, of all peers together. */
  readonly budget: ByteBudget;
}

export type InboxLimits = Pick<WireLimits, 'handlingMessages' | 'handlingBytes' | 'handlingShareBytes'>;

/** Messages of one peer on their way to their handler: decoded one by one, a bounded number at a time. */
export class Inbox {
  readonly #peer: NodeId;
  readonly #limits: InboxLimits;
  readonly #modules: InboxModules;
  #handling = 0;
  #bytes = 0;
  #lastId = 0;
  #lastSequence = 0;
  #wasFull = false;

  constructor(peer: NodeId, limits: InboxLimits, modules: InboxModules) {
    this.#peer = peer;
    this.#limits = limits;
    this.#modules = modules;
  }

  /** Messages being handled. */
  get handling(): number {
    return this.#handling;
  }

  /** True when nothing more should be read. */
  get isFull(): boolean {
    const { handlingMessages, handlingBytes, handlingShareBytes } = this.#limits;
    const isOwn = this.#handling >= handlingMessages || this.#bytes >= handlingBytes;
    this.#wasFull ||= isOwn;
    return isOwn || (this.#bytes >= handlingShareBytes && this.#modules.budget.isSpent);
  }

  /** Takes one message. @throws WireFault sequence, forged: the link cannot go on */
  receive(envelope: Envelope): void {
    const { type, id, sequence, payload, attachment, sender } = envelope;
    if (sequence !== this.#lastSequence + 1) {
      throw new WireFault('sequence', `message ${sequence} follows message ${this.#lastSequence}`);
    }
    this.#lastSequence = sequence;
    if (id !== 0) {
      if (id <= this.#lastId)
        throw new WireFault('sequence', `request ${id} follows request ${this.#lastId}`);
      this.#lastId = id;
    }
    if (sender !== undefined && sender !== this.#peer) {
      throw new WireFault('forged', `a message of ${sender}, sent by ${this.#peer}`);
    }
    const name = typeOfCode(type);
    if (name === undefined) {
      this.#refuse(id, new WireFault('unknown', `message type ${type} is not known to this node`));
      return;
    }
    this.#modules.counts.in.add(name);
    const bytes = inlineBytesOf(envelope);
    this.#handling += 1;
    this.#bytes += bytes;
    this.#modules.budget.take(bytes);
    if (typeof payload === 'object' && typeof attachment !== 'number') {
      void this.#handle(name, { id, bytes }, payload, attachment);
    } else void this.#handleWithBodies(name, { id, bytes }, payload, attachment);
  }

  async #handleWithBodies(
    type: MessageType,
    request: Request,
    payload: Uint8Array | number,
    attachment: Uint8Array | number | undefined,
  ): Promise<void> {
    const { body, releaseBody } = this.#modules;
    const numbers = [payload, attachment].filter((part) => typeof part === 'number');
    try {
      const bytes = typeof payload === 'number' ? await body(payload) : payload;
      const beside = typeof attachment === 'number' ? await body(attachment) : attachment;
      await this.#handle(type, request, bytes, beside);
    } catch (thrown) {
      this.#done(request, thrown);
    } finally {
      for (const number of numbers) releaseBody(number);
    }
  }

  #handle(
    type: MessageType,
    request: Request,
    payload: Uint8Array,
    attachment: Uint8Array | undefined,
  ): Promise<void> | undefined {
    let message: Message;
    try {
      message = decodeMessage(type, this.#peer, payload, attachment);
    } catch (thrown) {
      const fault = toFault(thrown);
      this.#refuse(request.id, fault);
      this.#leave(request);
      return undefined;
    }
    let handling: Promise<void>;
    try {
      handling = this.#modules.handle(message);
    } catch (thrown) {
      // A handler that throws before it promises anything has refused too.
      this.#done(request, thrown);
      return undefined;
    }
    return handling.then(
      () => this.#done(request, undefined),
      (thrown: unknown) => this.#done(request, thrown),
    );
  }

  #done(request: Request, thrown: unknown): void {
    const { id } = request;
    if (id !== 0) this.#modules.answer(id, thrown === undefined ? undefined : toErrorData(thrown));
    this.#leave(request);
  }

  #leave({ bytes }: Request): void {
    this.#handling -= 1;
    this.#bytes -= bytes;
    this.#modules.budget.give(bytes);
    const { handlingMessages, handlingBytes } = this.#limits;
    if (!this.#wasFull || this.#handling > handlingMessages / 2 || this.#bytes > handlingBytes / 2) return;
    this.#wasFull = false;
    this.#modules.onRoom();
  }

  #refuse(id: number, fault: WireFault): void {
    if (id !== 0) this.#modules.answer(id, { code: 'MessageInvalid', message: fault.message });
    this.#modules.refused(fault);
  }
}

/** What is kept of a message while it is handled. */
interface Request {
  readonly id: number;
  readonly bytes: number;
}

function inlineBytesOf({ payload, attachment }: Envelope): number {
  return (
    (typeof payload === 'object' ? payload.length : 0) +
    (typeof attachment === 'object' ? attachment.length : 0)
  );
}

/** A body that did not come: the message may be sent again. */
export function bodyLost(text: string): NodeError {
  return new NodeError('LinkLost', text);
}
