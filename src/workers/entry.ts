import { BroadcastChannel, isMainThread, parentPort, threadId, workerData } from 'node:worker_threads';
import { fromErrorData, NodeError, toErrorData } from '../core/errors.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Control, Question, ThreadOptions, Upward, WorkBatch, WorkItem } from './protocol.ts';

/** Kills remembered for items that have not arrived: more than a pool can have on their way at once. */
const EARLY_KILLS_KEPT = 1024;

/** What a handler gets besides its input. */
export interface HandlerContext<Report> {
  readonly id: string;
  /** Aborted by control: reason is the `kill` or `detach` message. */
  readonly signal: AbortSignal;
  report(report: Report): void;
  log(
    level: 'debug' | 'info' | 'warn' | 'error',
    text: string,
    fields?: Readonly<Record<string, string | number>>,
  ): void;
  /** Of a blocking handler: its outcome may wait for the end of the batch, because it can be seen elsewhere, too. */
  mayWait(): void;
  /** Asks the main thread; rejects with the NodeError it answers. */
  ask(question: Question, signal?: AbortSignal): Promise<unknown>;
}

/** Handles one item. May throw: what is thrown becomes a `fail` outcome. */
export type Handler<In, Out, Report> = (
  input: In,
  context: HandlerContext<Report>,
) => Promise<Outcome<Out>> | Outcome<Out>;

/** How a pool's thread serves its stage. */
export interface Serve<In, Out, Report> {
  readonly handle: Handler<In, Out, Report>;
  /** Live settings, as they change. */
  readonly onLive?: (name: string, value: unknown) => void;
  /**
   * True where a handler blocks its thread: items are run one after another and every message goes up at once,
   * because no later turn of the loop would come to send it.
   */
  readonly blocking?: boolean;
}

/** What the items of a thread share. */
interface Thread<Out, Report> {
  send(message: Upward<Out, Report>, now: boolean): void;
  /** Sends the item's reports in this turn, or with its outcome. */
  reported(item: RunningItem<Out, Report>): void;
  ask(question: Question, signal: AbortSignal | undefined): Promise<unknown>;
}

/** One item in its handler. Most never look at their signal, and an AbortController costs more than all the rest. */
class RunningItem<Out, Report> implements HandlerContext<Report> {
  readonly id: string;
  readonly #thread: Thread<Out, Report>;
  readonly #isBlocking: boolean;
  #stop: Control | undefined;
  #controller: AbortController | undefined;
  #waits = false;
  #reports: Report[] = [];

  constructor(
    id: string,
    options: { isBlocking: boolean; stop: Control | undefined },
    thread: Thread<Out, Report>,
  ) {
    this.id = id;
    this.#isBlocking = options.isBlocking;
    this.#stop = options.stop;
    this.#thread = thread;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#stop !== undefined) this.#controller.abort(this.#stop);
    }
    return this.#controller.signal;
  }

  stop(control: Control): void {
    this.#stop ??= control;
    this.#controller?.abort(control);
  }

  /** The outcome goes with the end of its batch. */
  get waits(): boolean {
    return this.#waits;
  }

  mayWait(): void {
    this.#waits = true;
  }

  report(report: Report): void {
    if (this.#isBlocking) {
      this.#thread.send({ kind: 'report', id: this.id, report }, true);
      return;
    }
    this.#reports.push(report);
    if (this.#reports.length === 1) this.#thread.reported(this);
  }

  /** Its reports that nobody has sent yet. */
  takeReports(): readonly Report[] {
    const reports = this.#reports;
    this.#reports = [];
    return reports;
  }

  log(
    level: 'debug' | 'info' | 'warn' | 'error',
    text: string,
    fields: Readonly<Record<string, string | number>> = {},
  ): void {
    this.#thread.send({ kind: 'log', level, text, fields }, this.#isBlocking);
  }

  ask(question: Question, signal?: AbortSignal): Promise<unknown> {
    return this.#thread.ask(question, signal);
  }
}

/**
 * Makes the function a worker file exports as default. Refuses to run on the main thread.
 * `create` gets the stage's options once a thread.
 */
export function serve<In, Out, Report = never>(
  create: (options: unknown) => Serve<In, Out, Report> | Promise<Serve<In, Out, Report>>,
): (batch: WorkBatch<In>) => Promise<unknown> {
  const port = parentPort;
  if (isMainThread || port === null) throw new Error('a worker file must run in a pool thread');
  const thread = workerData as ThreadOptions;
  const welcome = Promise.withResolvers<readonly (readonly [string, unknown])[]>();
  const ready = Promise.all([create(thread.options), welcome.promise]).then(([stage, live]) => {
    for (const [name, value] of live) stage.onLive?.(name, value);
    return stage;
  });
  const channel = new BroadcastChannel(thread.channel);
  channel.unref();

  const running = new Map<string, RunningItem<Out, Report>>();
  // A kill can overtake its item. It reaches every thread of the pool, so most of these are for others.
  const killedEarly = new Map<string, Control>();
  const questions = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let nextQuestion = 0;
  let detached: Control | undefined;

  const rememberEarlyKill = (id: string, control: Control): void => {
    killedEarly.set(id, control);
    if (killedEarly.size > EARLY_KILLS_KEPT) killedEarly.delete(killedEarly.keys().next().value ?? id);
  };

  let buffer: Upward<Out, Report>[] = [];
  /** Items with reports that are not in the buffer: they go there when it is sent, or with their outcome. */
  const reporting = new Set<RunningItem<Out, Report>>();
  let posts = 0;
  let batches = 0;
  let flushes = false;
  const takeBuffer = (): readonly Upward<Out, Report>[] => {
    for (const item of reporting) {
      for (const report of item.takeReports()) buffer.push({ kind: 'report', id: item.id, report });
    }
    reporting.clear();
    const messages = buffer;
    buffer = [];
    return messages;
  };
  const flush = (): void => {
    const messages = takeBuffer();
    if (messages.length === 0) return;
    posts += 1;
    port.postMessage(messages);
  };
  const flushThisTurn = (): void => {
    if (flushes) return;
    flushes = true;
    setImmediate(() => {
      flushes = false;
      flush();
    });
  };
  const send = (message: Upward<Out, Report>, now: boolean): void => {
    buffer.push(message);
    if (now) flush();
    else flushThisTurn();
  };

  channel.onmessage = (event: unknown): void => {
    const control = (event as { data: Control }).data;
    switch (control.kind) {
      case 'kill': {
        const item = running.get(control.id);
        if (item === undefined) rememberEarlyKill(control.id, control);
        else item.stop(control);
        break;
      }
      case 'detach':
        detached = control;
        for (const item of running.values()) item.stop(control);
        break;
      case 'welcome':
        if (control.thread === threadId) welcome.resolve(control.live);
        break;
      case 'live':
        void ready.then((stage) => stage.onLive?.(control.name, control.value));
        break;
      case 'answer': {
        if (control.thread !== threadId) break;
        const waiting = questions.get(control.number);
        questions.delete(control.number);
        if (control.error === undefined) waiting?.resolve(control.value);
        else waiting?.reject(fromErrorData(control.error));
        break;
      }
    }
  };

  send({ kind: 'ready', thread: threadId }, true);

  const shared: Thread<Out, Report> = {
    send,
    reported(item) {
      reporting.add(item);
      flushThisTurn();
    },
    ask: (question, signal) =>
      new Promise((resolve, reject) => {
        const number = nextQuestion++;
        questions.set(number, { resolve, reject });
        signal?.addEventListener('abort', () => {
          if (questions.delete(number))
            reject(new NodeError('InputUnavailable', `${question.kind}: given up`));
        });
        send({ kind: 'question', number, thread: threadId, question }, true);
      }),
  };

  const runOne = async (
    stage: Serve<In, Out, Report>,
    { id, input }: WorkItem<In>,
    isLast: boolean,
  ): Promise<void> => {
    const isBlocking = stage.blocking === true;
    const context = new RunningItem(id, { isBlocking, stop: killedEarly.get(id) ?? detached }, shared);
    killedEarly.delete(id);
    running.set(id, context);
    const startedAt = performance.now();
    let outcome: Outcome<Out>;
    try {
      outcome = await stage.handle(input, context);
    } catch (thrown) {
      outcome = { kind: 'fail', error: toErrorData(thrown) };
    } finally {
      running.delete(id);
    }
    const durationMs = performance.now() - startedAt;
    const told = { kind: 'outcome', id, outcome, durationMs, thread: threadId } as const;
    send(
      reporting.delete(context) ? { ...told, reports: context.takeReports() } : told,
      isBlocking && !isLast && !context.waits,
    );
  };

  return async ({ items }) => {
    const stage = await ready;
    const before = posts;
    batches += 1;
    if (stage.blocking === true) {
      for (const item of items) await runOne(stage, item, item === items.at(-1));
    } else {
      await Promise.all(items.map((item) => runOne(stage, item, false)));
    }
    batches -= 1;
    // What is left goes with the result, one message instead of two, unless it could overtake what was posted before it.
    if (posts === before && batches === 0) return takeBuffer();
    // A parked thread has no later turn to send it.
    flush();
    return [];
  };
}
