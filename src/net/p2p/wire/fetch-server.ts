import type { Readable } from 'node:stream';
import type { Stream } from '@libp2p/interface';
import { NodeError, toErrorData } from '../../../core/errors.ts';
import type { ExecutionId, NodeId } from '../../../core/ids.ts';
import type { LogChunk, LogOptions } from '../../../core/ports.ts';
import type { WireCounts } from './counts.ts';
import { toFault, WireFault } from './fault.ts';
import { decodeRequest, encodeAnswer, type FetchAnswer, type FetchRequest } from './fetch-frames.ts';
import { FrameReader } from './frame-reader.ts';
import type { WireLimits } from './limits.ts';
import { PacedWriter } from './paced-writer.ts';

/** A request is two numbers and an id. */
const REQUEST_BYTES = 1024;

/** What a node lets its peers read. */
export interface FetchHandlers {
  logs(
    from: NodeId,
    executionId: ExecutionId,
    options: LogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk>;
  archive(from: NodeId, executionId: ExecutionId): Promise<{ stream: Readable; bytes: number }>;
}

export type FetchLimits = Pick<
  WireLimits,
  'fetchesPerPeer' | 'fetches' | 'fetchChunk' | 'stalledMs' | 'fetchIdleMs' | 'helloMs'
>;

export interface FetchServerModules {
  readonly handlers: FetchHandlers;
  readonly counts: WireCounts;
  /** False for a peer without a link. */
  readonly isLinked: (peer: NodeId) => boolean;
  readonly hear: (peer: NodeId) => void;
  /** True while messages pass over the connection to the peer. */
  readonly isShared: (peer: NodeId) => boolean;
  readonly onFault: (peer: NodeId, fault: WireFault) => void;
}

/** Answers what peers read: pull by pull, as fast as they do. A few per peer, some in all. */
export class FetchServer {
  readonly #limits: FetchLimits;
  readonly #modules: FetchServerModules;
  readonly #perPeer = new Map<NodeId, number>();
  readonly #open = new Set<PacedWriter>();

  constructor(limits: FetchLimits, modules: FetchServerModules) {
    this.#limits = limits;
    this.#modules = modules;
  }

  /** Answers in progress. */
  get open(): number {
    return this.#open.size;
  }

  /** A stream of the fetch protocol. */
  accept(stream: Stream, from: NodeId): void {
    const reader = new FrameReader(REQUEST_BYTES);
    const closing = new AbortController();
    let isAsked = false;
    const late = setTimeout(() => writer.abort(new Error('no request came')), this.#limits.helloMs);
    const writer = new PacedWriter(stream, {
      idleMs: this.#limits.fetchIdleMs,
      isShared: () => this.#modules.isShared(from),
      onData: (chunk) => {
        this.#modules.hear(from);
        try {
          if (isAsked) {
            writer.taken(chunk);
            return;
          }
          reader.push(chunk);
          const bytes = reader.next();
          if (bytes === undefined) return;
          clearTimeout(late);
          const request = decodeRequest(bytes);
          isAsked = true;
          writer.taken(reader.rest());
          void this.#answer(writer, from, request, closing.signal);
        } catch (thrown) {
          const fault = toFault(thrown);
          this.#modules.onFault(from, fault);
          if (isAsked) writer.abort(fault);
          else void this.#refuse(writer, new NodeError('MessageInvalid', fault.message));
          isAsked = true;
        }
      },
      onClosed: () => {
        clearTimeout(late);
        closing.abort(new Error('the peer reads no more'));
        if (this.#open.delete(writer)) this.#leave(from);
      },
    });
    const refusal = this.#enter(from);
    if (refusal === undefined) {
      this.#open.add(writer);
      return;
    }
    isAsked = true;
    this.#modules.onFault(from, new WireFault(refusal.code === 'Busy' ? 'full' : 'hello', refusal.message));
    void this.#refuse(writer, refusal);
  }

  /** Ends all answers. */
  close(): void {
    for (const writer of this.#open) writer.abort(new Error('the node stops'));
  }

  #enter(from: NodeId): NodeError | undefined {
    const { fetches, fetchesPerPeer } = this.#limits;
    if (!this.#modules.isLinked(from)) return new NodeError('NodeNotFound', 'no link, no fetch');
    const own = this.#perPeer.get(from) ?? 0;
    if (own >= fetchesPerPeer || this.#open.size >= fetches) {
      return new NodeError('Busy', `too many logs and archives are read at once: ${own} by this peer`);
    }
    this.#perPeer.set(from, own + 1);
    return undefined;
  }

  #leave(from: NodeId): void {
    const own = (this.#perPeer.get(from) ?? 1) - 1;
    if (own > 0) this.#perPeer.set(from, own);
    else this.#perPeer.delete(from);
  }

  async #answer(
    writer: PacedWriter,
    from: NodeId,
    request: FetchRequest,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      if (request.kind === 'logs') await this.#logs(writer, from, request, signal);
      else await this.#archive(writer, from, request.executionId, signal);
      await this.#write(writer, { kind: 'end' });
      await writer.end(this.#limits.fetchIdleMs);
    } catch (thrown) {
      if (signal.aborted) return;
      await this.#refuse(writer, thrown);
    }
  }

  async #logs(
    writer: PacedWriter,
    from: NodeId,
    { executionId, options }: Extract<FetchRequest, { kind: 'logs' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const { fetchChunk } = this.#limits;
    for await (const { stream, text } of this.#modules.handlers.logs(from, executionId, options, signal)) {
      for (let at = 0; at < text.length; at += fetchChunk) {
        await this.#write(writer, { kind: 'log', chunk: { stream, text: text.slice(at, at + fetchChunk) } });
      }
      if (signal.aborted) return;
    }
  }

  async #archive(
    writer: PacedWriter,
    from: NodeId,
    executionId: ExecutionId,
    signal: AbortSignal,
  ): Promise<void> {
    const { stream, bytes } = await this.#modules.handlers.archive(from, executionId);
    const end = (): void => void stream.destroy();
    signal.addEventListener('abort', end, { once: true });
    try {
      signal.throwIfAborted();
      await this.#write(writer, { kind: 'archive', bytes });
      for await (const part of stream) {
        const chunk = part as Buffer;
        for (let at = 0; at < chunk.length; at += this.#limits.fetchChunk) {
          await this.#write(writer, {
            kind: 'bytes',
            bytes: chunk.subarray(at, at + this.#limits.fetchChunk),
          });
        }
      }
    } finally {
      signal.removeEventListener('abort', end);
      stream.destroy();
    }
  }

  async #refuse(writer: PacedWriter, thrown: unknown): Promise<void> {
    try {
      await this.#write(writer, { kind: 'error', error: toErrorData(thrown) });
      await writer.end(this.#limits.fetchIdleMs);
    } catch {
      // The peer has gone: nobody is left to be told.
    }
  }

  async #write(writer: PacedWriter, answer: FetchAnswer): Promise<void> {
    const bytes = encodeAnswer(answer);
    this.#modules.counts.bytesOut.add('fetch', bytes.length);
    await writer.write(bytes);
  }
}
