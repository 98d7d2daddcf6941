import { BroadcastChannel, isMainThread, parentPort, threadId, workerData } from 'node:worker_threads';
import { fromErrorData, NodeError, toErrorData } from '../core/errors.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Control, Question, ThreadOptions, Upward, WorkBatch } from './protocol.ts';

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

/**
 * Makes the function a worker file exports as default. Refuses to run on the main thread.
 * `create` gets the stage's options once a thread.
 */
export function serve<In, Out, Report = never>(
  create: (options: unknown) => Serve<In, Out, Report> | Promise<Serve<In, Out, Report>>,
): (batch: WorkBatch<In>) => Promise<void> {
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

  const running = new Map<string, AbortController>();
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
  const flush = (): void => {
    const messages = buffer;
    buffer = [];
    if (messages.length > 0) port.postMessage(messages);
  };
  const send = (message: Upward<Out, Report>, now: boolean): void => {
    buffer.push(message);
    if (now) flush();
    else if (buffer.length === 1) setImmediate(flush);
  };

  channel.onmessage = (event: unknown): void => {
    const control = (event as { data: Control }).data;
    switch (control.kind) {
      case 'kill': {
        const controller = running.get(control.id);
        if (controller === undefined) rememberEarlyKill(control.id, control);
        else controller.abort(control);
        break;
      }
      case 'detach':
        detached = control;
        for (const controller of running.values()) controller.abort(control);
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

  const runOne = async (stage: Serve<In, Out, Report>, id: string, input: In): Promise<void> => {
    const now = stage.blocking === true;
    const controller = new AbortController();
    const early = killedEarly.get(id) ?? detached;
    if (early !== undefined) controller.abort(early);
    killedEarly.delete(id);
    running.set(id, controller);
    const startedAt = performance.now();
    const context: HandlerContext<Report> = {
      id,
      signal: controller.signal,
      report: (report) => send({ kind: 'report', id, report }, now),
      log: (level, text, fields = {}) => send({ kind: 'log', level, text, fields }, now),
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
    let outcome: Outcome<Out>;
    try {
      outcome = await stage.handle(input, context);
    } catch (thrown) {
      outcome = { kind: 'fail', error: toErrorData(thrown) };
    } finally {
      running.delete(id);
    }
    send({ kind: 'outcome', id, outcome, durationMs: performance.now() - startedAt, thread: threadId }, now);
  };

  return async (batch) => {
    const stage = await ready;
    if (stage.blocking === true) {
      for (const item of batch.items) await runOne(stage, item.id, item.input);
    } else {
      await Promise.all(batch.items.map((item) => runOne(stage, item.id, item.input)));
    }
    // A parked thread has no later turn to send what is left.
    flush();
  };
}
