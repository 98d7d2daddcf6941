import type { ErrorData } from '../core/errors.ts';
import type { Outcome } from '../core/outcome.ts';

/**
 * What crosses between the main thread and a pool's threads. Plain and cloneable; large bytes are
 * transferred. Down: batches of items. Up: outcomes and reports one by one as they are known, coalesced per turn.
 */

/** One item for a thread. `id` is unique among the pool's items in flight. */
export interface WorkItem<In> {
  readonly id: string;
  readonly input: In;
}

/** A batch handed to Piscina's run(). */
export interface WorkBatch<In> {
  readonly items: readonly WorkItem<In>[];
}

/** One message from a thread. */
export type Upward<Out, Report> =
  /** A thread listens to control from now on; it waits for the live settings. */
  | { readonly kind: 'ready'; readonly thread: number }
  | {
      readonly kind: 'outcome';
      readonly id: string;
      /** What it has reported since the last message went up. */
      readonly reports?: readonly Report[];
      readonly outcome: Outcome<Out>;
      readonly durationMs: number;
      readonly thread: number;
    }
  | { readonly kind: 'report'; readonly id: string; readonly report: Report }
  | {
      readonly kind: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly text: string;
      readonly fields: Readonly<Record<string, string | number>>;
    }
  /** A question to the main thread; answered by a control message with the same number. */
  | {
      readonly kind: 'question';
      readonly number: number;
      readonly thread: number;
      readonly question: Question;
    };

/** What a thread may ask of the main thread. */
export type Question =
  /** Fetch this block through the embedded node's bitswap into the shared block folder. Answer: null. */
  { readonly kind: 'ipfs-want'; readonly cid: string };

/** One message to every thread of a pool, by broadcast; it reaches running tasks. */
export type Control =
  | {
      readonly kind: 'kill';
      readonly id: string;
      readonly why: 'cancelled' | 'timeout';
      readonly cause: string;
    }
  /** The daemon stops: leave running what can outlive it. */
  | { readonly kind: 'detach' }
  /** What a new thread waits for before its first item. */
  | {
      readonly kind: 'welcome';
      readonly thread: number;
      readonly live: readonly (readonly [string, unknown])[];
    }
  /** The named live setting changed. */
  | { readonly kind: 'live'; readonly name: string; readonly value: unknown }
  | {
      readonly kind: 'answer';
      readonly number: number;
      readonly thread: number;
      readonly value: unknown;
      readonly error?: ErrorData;
    };

/** `workerData` of every thread. */
export interface ThreadOptions {
  /** Name of the BroadcastChannel that carries Control. */
  readonly channel: string;
  /** Plain data the stage needs, made by the composition root from the config. */
  readonly options: unknown;
}
