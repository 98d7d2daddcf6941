import { Readable } from 'node:stream';
import type { Connection } from '@libp2p/interface';
import { fromErrorData, NodeError } from '../../../core/errors.ts';
import type { ExecutionId } from '../../../core/ids.ts';
import type { LogChunk, LogOptions } from '../../../core/ports.ts';
import type { WireCounts } from './counts.ts';
import {
  decodeAnswer,
  encodeRequest,
  FETCH_PROTOCOL,
  type FetchAnswer,
  type FetchRequest,
} from './fetch-frames.ts';
import { FrameReader } from './frame-reader.ts';
import { LENGTH_BYTES } from './frames.ts';
import { takenFrame } from './paced-writer.ts';
import { Port } from './port.ts';

/** Frames of an answer: the largest part of a log or archive with room to spare. */
const ANSWER_BYTES = 524_288;
const CLOSE_MS = 1000;

export interface FetchModules {
  readonly connection: Connection;
  readonly counts: WireCounts;
  /** Something of the peer came: it lives. */
  readonly hear: () => void;
}

/**
 * Logs of an execution on the peer. Ends with the execution, or when the signal or the reader ends it.
 * @throws NodeError LinkLost, or what the peer says
 */
export async function* fetchLogs(
  modules: FetchModules,
  executionId: ExecutionId,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogChunk> {
  const answers = await open(modules, { kind: 'logs', executionId, options }, signal);
  try {
    for (;;) {
      const answer = await answers.next();
      if (answer.kind === 'end') return;
      if (answer.kind === 'log') yield answer.chunk;
      else throw unexpected(answer);
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  } finally {
    answers.close();
  }
}

/** A published archive of an execution on the peer. @throws NodeError LinkLost, or what the peer says */
export async function fetchArchive(
  modules: FetchModules,
  executionId: ExecutionId,
  signal: AbortSignal,
): Promise<{ stream: Readable; bytes: number }> {
  const answers = await open(modules, { kind: 'archive', executionId }, signal);
  try {
    const head = await answers.next();
    if (head.kind !== 'archive') throw unexpected(head);
    return { stream: Readable.from(parts(answers, head.bytes), { objectMode: false }), bytes: head.bytes };
  } catch (thrown) {
    answers.close();
    throw thrown;
  }
}

async function* parts(answers: Answers, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  try {
    for (;;) {
      const answer = await answers.next();
      if (answer.kind === 'end') {
        if (left === 0) return;
        throw new NodeError('LinkLost', `the archive ended ${left} of ${bytes} bytes too early`);
      }
      if (answer.kind !== 'bytes') throw unexpected(answer);
      left -= answer.bytes.length;
      if (left < 0) throw new NodeError('MessageInvalid', `the archive is longer than its ${bytes} bytes`);
      yield answer.bytes;
    }
  } finally {
    answers.close();
  }
}

function unexpected(answer: FetchAnswer): NodeError {
  if (answer.kind === 'error') return fromErrorData(answer.error);
  return new NodeError('MessageInvalid', `the peer sent a ${answer.kind} frame where it does not belong`);
}

async function open(modules: FetchModules, request: FetchRequest, signal: AbortSignal): Promise<Answers> {
  const { connection } = modules;
  try {
    const stream = await connection.newStream(FETCH_PROTOCOL, { signal });
    const answers = new Answers(modules, signal, (events) => new Port(stream, events));
    answers.ask(request);
    return answers;
  } catch (thrown) {
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    throw new NodeError('LinkLost', `node ${connection.remotePeer.toString()} cannot be asked: ${text}`, {
      cause: thrown,
    });
  }
}

/** Answers one by one; nothing is read from the stream while one waits to be taken. */
class Answers {
  readonly #modules: FetchModules;
  readonly #signal: AbortSignal;
  readonly #port: Port;
  readonly #reader = new FrameReader(ANSWER_BYTES);
  #taken = 0;
  #wake: (() => void) | undefined;
  #error: Error | undefined;

  constructor(
    modules: FetchModules,
    signal: AbortSignal,
    portOf: (events: ConstructorParameters<typeof Port>[1]) => Port,
  ) {
    this.#modules = modules;
    this.#signal = signal;
    this.#port = portOf({
      data: (chunk) => {
        modules.hear();
        modules.counts.bytesIn.add('fetch', chunk.length);
        this.#reader.push(chunk);
        this.#port.pause();
        this.#wake?.();
      },
      drained: () => undefined,
      ended: () => this.#fail(new Error('the answer ended without its end')),
      closed: (error) => this.#fail(error ?? new Error('the stream was closed')),
    });
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  ask(request: FetchRequest): void {
    const bytes = encodeRequest(request);
    this.#modules.counts.bytesOut.add('fetch', bytes.length);
    this.#port.send(bytes);
  }

  /** @throws NodeError LinkLost, MessageInvalid */
  async next(): Promise<FetchAnswer> {
    for (;;) {
      const answer = this.#next();
      if (answer !== undefined) return answer;
      if (this.#error !== undefined) throw this.#lost(this.#error);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#port.resume();
      });
      this.#wake = undefined;
    }
  }

  /** The reader wants no more. Idempotent. */
  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    void this.#port.shut(CLOSE_MS);
  }

  #next(): FetchAnswer | undefined {
    try {
      const bytes = this.#reader.next();
      if (bytes === undefined) return undefined;
      this.#taken += LENGTH_BYTES + bytes.length;
      this.#port.send(takenFrame(this.#taken));
      return decodeAnswer(bytes);
    } catch (thrown) {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      throw new NodeError('MessageInvalid', `${this.#peer} answers in no known form: ${text}`);
    }
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#wake?.();
  }

  #lost(error: Error): NodeError {
    return new NodeError('LinkLost', `${this.#peer} does not answer any more: ${error.message}`);
  }

  get #peer(): string {
    return `node ${this.#modules.connection.remotePeer.toString()}`;
  }

  readonly #onAbort = (): void => {
    this.#fail(this.#signal.reason instanceof Error ? this.#signal.reason : new Error('it was given up'));
    this.#port.abort(new Error('the reader has gone'));
  };
}
