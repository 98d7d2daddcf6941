import { type ErrorData, NodeError, toErrorData } from '../../../core/errors.ts';
import type { NodeId } from '../../../core/ids.ts';
import type { Message } from '../../../core/messages.ts';
import type { WireCounts } from './counts.ts';
import { WireFault } from './fault.ts';
import type { Envelope } from './frames.ts';
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
}

/** Messages of one peer on their way to their handler: decoded one by one, a bounded number at a time. */
export class Inbox {
  readonly #peer: NodeId;
  readonly #most: number;
  readonly #modules: InboxModules;
  #handling = 0;
  #lastId = 0;
  #lastSequence = 0;
  #wasFull = false;

  constructor(options: { readonly peer: NodeId; readonly handlingMessages: number }, modules: InboxModules) {
    this.#peer = options.peer;
    this.#most = options.handlingMessages;
    this.#modules = modules;
  }

  /** Messages being handled. */
  get handling(): number {
    return this.#handling;
  }

  /** True when nothing more should be read. */
  get isFull(): boolean {
    if (this.#handling >= this.#most) this.#wasFull = true;
    return this.#handling >= this.#most;
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
    this.#handling += 1;
    if (typeof payload === 'object' && typeof attachment !== 'number') {
      void this.#handle(name, id, payload, attachment);
    } else void this.#handleWithBodies(name, id, payload, attachment);
  }

  async #handleWithBodies(
    type: MessageType,
    id: number,
    payload: Uint8Array | number,
    attachment: Uint8Array | number | undefined,
  ): Promise<void> {
    const { body, releaseBody } = this.#modules;
    const numbers = [payload, attachment].filter((part) => typeof part === 'number');
    try {
      const bytes = typeof payload === 'number' ? await body(payload) : payload;
      const beside = typeof attachment === 'number' ? await body(attachment) : attachment;
      await this.#handle(type, id, bytes, beside);
    } catch (thrown) {
      this.#handling -= 1;
      if (id !== 0) this.#modules.answer(id, toErrorData(thrown));
      this.#makeRoom();
    } finally {
      for (const number of numbers) releaseBody(number);
    }
  }

  #handle(
    type: MessageType,
    id: number,
    payload: Uint8Array,
    attachment: Uint8Array | undefined,
  ): Promise<void> | undefined {
    let message: Message;
    try {
      message = decodeMessage(type, this.#peer, payload, attachment);
    } catch (thrown) {
      this.#handling -= 1;
      const fault = thrown instanceof WireFault ? thrown : new WireFault('invalid', String(thrown));
      this.#refuse(id, fault);
      return undefined;
    }
    return this.#modules.handle(message).then(
      () => this.#done(id, undefined),
      (thrown: unknown) => this.#done(id, thrown),
    );
  }

  #done(id: number, thrown: unknown): void {
    this.#handling -= 1;
    if (id !== 0) this.#modules.answer(id, thrown === undefined ? undefined : toErrorData(thrown));
    this.#makeRoom();
  }

  #makeRoom(): void {
    if (!this.#wasFull || this.#handling > this.#most / 2) return;
    this.#wasFull = false;
    this.#modules.onRoom();
  }

  #refuse(id: number, fault: WireFault): void {
    if (id !== 0) this.#modules.answer(id, { code: 'MessageInvalid', message: fault.message });
    this.#modules.refused(fault);
  }
}

/** A body that did not come: the message may be sent again. */
export function bodyLost(text: string): NodeError {
  return new NodeError('LinkLost', text);
}
