import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { NodeError } from '../core/errors.ts';
import { FRAME_BYTES, type FromHelper, type RunRequest, type RunResult, type ToHelper } from './protocol.ts';

/** Commands that run at once: they compete with the jobs for the machine. */
const RUNNING = 16;
/** Commands that wait for one of those; more are refused. */
const WAITING = 256;
/** The helper enforces the time limit; this much later the helper itself is taken for dead. */
const UNANSWERED_MS = 5_000;
/** Time the helper has to end after its channel is closed. */
const STOP_MS = 2_000;
/** The helper does next to nothing in JavaScript. */
const HELPER_FLAGS = ['--max-semi-space-size=1', '--disable-warning=ExperimentalWarning'];

export interface HelperOptions {
  /** Environment of the helper and, unless a request has its own, of its commands. Absent: the daemon's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Commands that run at once; more wait, up to a fixed number. Default 16. */
  readonly running?: number;
}

/** The part of a logger that is used here: a thread has no whole one. */
export interface HelperLogger {
  warn(fields: Readonly<Record<string, unknown>>, text: string): void;
  error(fields: Readonly<Record<string, unknown>>, text: string): void;
}

interface Pending {
  readonly request: RunRequest;
  readonly resolve: (result: RunResult) => void;
  readonly reject: (error: NodeError) => void;
  timer?: NodeJS.Timeout;
  /** The helper it was sent to. */
  child?: ChildProcess;
}

/**
 * Runs commands through a helper process, which is started with the first of them and again when it has died.
 * Commands are killed with everything they started: at their time limit, on abort, when the helper stops and
 * when this process ends.
 */
export class Helper {
  readonly #options: HelperOptions;
  readonly #logger: HelperLogger;
  readonly #pending = new Map<number, Pending>();
  /** Ids that were not sent yet, oldest first. */
  readonly #waiting = new Set<number>();
  #child: ChildProcess | undefined;
  #nextId = 0;
  #stopped = false;

  constructor(options: HelperOptions, modules: { logger: HelperLogger }) {
    this.#options = options;
    this.#logger = modules.logger;
  }

  /** Process id of the running helper, for tests and debug output. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the helper now, while the daemon is small and starting it is cheap. */
  warm(): void {
    if (!this.#stopped) this.#open();
  }

  /**
   * Runs a command to its end. A command that fails or cannot be started is a result, not an error.
   * @throws NodeError SubprocessFailed (helper lost or stopped, frame too large, aborted), Busy (too many wait)
   */
  run(request: RunRequest, signal?: AbortSignal): Promise<RunResult> {
    if (this.#stopped) return Promise.reject(failed(`${request.command}: the helper process is stopped`));
    if (signal?.aborted === true) return Promise.reject(failed(`${request.command}: given up`));
    const bytes = Math.max(request.maxOutputBytes, request.input?.byteLength ?? 0);
    if (bytes > FRAME_BYTES) {
      return Promise.reject(
        failed(`${request.command}: ${bytes} bytes of input or output (the maximum is ${FRAME_BYTES})`),
      );
    }
    if (this.#waiting.size >= WAITING) {
      return Promise.reject(
        new NodeError('Busy', `${request.command}: ${WAITING} commands are waiting to run`),
      );
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#giveUp(id);
      const settled = (): void => {
        signal?.removeEventListener('abort', onAbort);
        this.#fill();
      };
      this.#pending.set(id, {
        request,
        resolve: (result) => {
          resolve(result);
          settled();
        },
        reject: (error) => {
          reject(error);
          settled();
        },
      });
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(id);
      this.#fill();
    });
  }

  /** Kills what runs and ends the helper. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#rejectAll('the helper process is stopped');
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    if (child.connected) child.disconnect();
    await ended;
    clearTimeout(timer);
  }

  #fill(): void {
    if (this.#stopped) return;
    for (const id of this.#waiting) {
      if (this.#pending.size - this.#waiting.size >= (this.#options.running ?? RUNNING)) return;
      this.#waiting.delete(id);
      this.#send(id);
    }
  }

  #send(id: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    const child = this.#open();
    pending.child = child;
    pending.timer = setTimeout(() => {
      // Every command it has is lost with it, but a helper that does not answer has lost them already.
      this.#logger.error({ pid: child.pid }, 'the helper process does not answer and is killed');
      child.kill('SIGKILL');
    }, pending.request.timeoutMs + UNANSWERED_MS);
    const message: ToHelper = { kind: 'run', id, request: pending.request };
    child.send(message, (error) => {
      if (error !== null) this.#settle(id)?.reject(failed(`${pending.request.command}: ${error.message}`));
    });
  }

  #giveUp(id: number): void {
    const sent = !this.#waiting.has(id);
    const message: ToHelper = { kind: 'kill', id };
    if (sent && this.#child?.connected === true) this.#child.send(message, () => undefined);
    const pending = this.#settle(id);
    pending?.reject(failed(`${pending.request.command}: given up`));
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    this.#waiting.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }

  /** Rejects what was sent to `child`, or everything. */
  #rejectAll(why: string, child?: ChildProcess): void {
    for (const [id, pending] of [...this.#pending]) {
      if (child !== undefined && pending.child !== child) continue;
      this.#settle(id)?.reject(failed(`${pending.request.command}: ${why}`));
    }
  }

  #open(): ChildProcess {
    if (this.#child?.connected === true) return this.#child;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const child = fork(new URL(`./helper-main.${extension}`, import.meta.url), [], {
      execArgv: HELPER_FLAGS,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      ...(this.#options.env === undefined ? {} : { env: { ...this.#options.env } }),
    });
    // The helper alone must not keep a daemon alive that has nothing else to do; a pending run's timer does.
    child.unref();
    child.channel?.unref();
    child.on('message', (message) => {
      const { id, result } = message as FromHelper;
      this.#settle(id)?.resolve(result);
    });
    child.on('error', (error) => this.#logger.error({ err: error }, 'the helper process failed'));
    child.once('exit', (code, signal) => {
      if (this.#child === child) this.#child = undefined;
      if (this.#stopped) return;
      this.#logger.warn({ code: code ?? -1, signal: signal ?? '' }, 'the helper process ended');
      this.#rejectAll('the helper process ended', child);
    });
    this.#child = child;
    return child;
  }
}

function failed(message: string): NodeError {
  return new NodeError('SubprocessFailed', message);
}
