import { NodeError } from '../core/errors.ts';
import type { WriteBatch } from './environment.ts';
import { type Operation, Recorder } from './recorder.ts';

/** How long to wait before a failed transaction is tried again. */
const RETRY_MS = 1000;
/** How long writes wait for company that nobody waits for: a transaction of their own would hold up who comes next. */
const LATER_MS = 5;
/** While transactions fail, so much is kept to be tried again; beyond it writes are refused. */
const MAX_UNWRITTEN_BYTES = 64 * 1024 * 1024;

/** What waits for one transaction: made when somebody asks, shared by all who do. */
class Outcome {
  #promise: Promise<void> | undefined;
  #resolve: () => void = () => undefined;
  #reject: (error: NodeError) => void = () => undefined;

  get promise(): Promise<void> {
    if (this.#promise === undefined) {
      this.#promise = new Promise<void>((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
      });
      // Whoever asked hears of a failure; it must not end the process where nobody listens any more.
      this.#promise.catch(() => undefined);
    }
    return this.#promise;
  }

  succeed(): void {
    this.#resolve();
  }

  fail(error: NodeError): void {
    this.#reject(error);
  }
}

interface Group {
  readonly recorder: Recorder;
  outcome: Outcome;
  /** Something was written, if only by a hook at the end. */
  isUsed: boolean;
  /** Somebody waits for it. */
  isUrgent: boolean;
}

function newGroup(): Group {
  return { recorder: new Recorder(), outcome: new Outcome(), isUsed: false, isUrgent: false };
}

const DONE: Promise<void> = Promise.resolve();

/**
 * Collects writes into transactions. A transaction is cut between two turns of the event loop and while no
 * other is under way, so that it holds whole turns, and holds the more of them the slower the disk is.
 * One that fails is kept and tried again in front of what came later: memory and disk never part ways.
 */
export class GroupCommit {
  readonly #commit: (operations: readonly Operation[]) => Promise<void>;
  readonly #explain: (error: unknown) => Promise<NodeError>;
  readonly #hooks: ((batch: WriteBatch) => void)[] = [];
  #open: Group = newGroup();
  #running: Group | undefined;
  #turn: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;
  #later: NodeJS.Timeout | undefined;
  #failure: NodeError | undefined;

  /** `commit` writes one transaction, all or nothing, and resolves when it is on disk; `explain` names its errors. */
  constructor(
    commit: (operations: readonly Operation[]) => Promise<void>,
    explain: (error: unknown) => Promise<NodeError>,
  ) {
    this.#commit = commit;
    this.#explain = explain;
  }

  /** @throws NodeError StoreFailed, DiskFull when too much waits for a disk that refuses it */
  write(change: (batch: WriteBatch) => void): void {
    this.#record(change);
    this.#open.isUrgent = true;
    this.#cutNextTurn();
  }

  /** As `write`; it begins no transaction before `LATER_MS`, but goes with one that others begin. */
  writeLater(change: (batch: WriteBatch) => void): void {
    this.#record(change);
    this.#cutLater();
  }

  beforeCommit(hook: (batch: WriteBatch) => void): void {
    this.#hooks.push(hook);
  }

  failure(): NodeError | undefined {
    return this.#failure;
  }

  /** Resolves when all that was written so far is on disk. */
  done(): Promise<void> {
    if (this.#open.isUsed) return this.#open.outcome.promise;
    return this.#running === undefined ? DONE : this.#running.outcome.promise;
  }

  /** Writes out what is left, now. @throws NodeError StoreFailed, DiskFull */
  async drain(): Promise<void> {
    while (this.#running !== undefined) await this.#running.outcome.promise.catch(() => undefined);
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const result = this.done();
    this.#cut();
    await result;
  }

  #record(change: (batch: WriteBatch) => void): void {
    const { recorder } = this.#open;
    if (this.#failure !== undefined && recorder.bytes > MAX_UNWRITTEN_BYTES) throw this.#failure;
    recorder.record(change);
    this.#open.isUsed = true;
  }

  #cutLater(): void {
    if (this.#later !== undefined) return;
    this.#later = setTimeout(() => {
      this.#later = undefined;
      if (this.#retry === undefined) this.#cut();
    }, LATER_MS);
    this.#later.unref();
  }

  #cutNextTurn(): void {
    if (this.#turn !== undefined || this.#running !== undefined || this.#retry !== undefined) return;
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      this.#cut();
    });
  }

  #cut(): void {
    if (this.#running !== undefined || !this.#open.isUsed) return;
    clearTimeout(this.#later);
    this.#later = undefined;
    const group = this.#open;
    for (const hook of this.#hooks) group.recorder.record(hook);
    this.#open = newGroup();
    this.#running = group;
    void this.#run(group);
  }

  async #run(group: Group): Promise<void> {
    try {
      const { operations } = group.recorder;
      if (operations.length > 0) await this.#commit(operations);
    } catch (thrown) {
      const error = await this.#explain(thrown);
      this.#failure = error;
      this.#running = undefined;
      this.#putBack(group, error);
      return;
    }
    this.#failure = undefined;
    this.#running = undefined;
    group.outcome.succeed();
    if (this.#open.isUrgent) this.#cutNextTurn();
    else if (this.#open.isUsed) this.#cutLater();
  }

  #putBack(group: Group, error: NodeError): void {
    const later = this.#open;
    for (const operation of later.recorder.operations) group.recorder.operations.push(operation);
    group.recorder.bytes += later.recorder.bytes;
    this.#open = { recorder: group.recorder, outcome: new Outcome(), isUsed: true, isUrgent: true };
    group.outcome.fail(error);
    later.outcome.fail(error);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#cut();
    }, RETRY_MS);
    this.#retry.unref();
  }
}
