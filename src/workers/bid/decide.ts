import type { StrategyReport } from '../../core/bids.ts';
import { toErrorData } from '../../core/errors.ts';
import type { Rejection } from '../../core/outcome.ts';
import type { StrategyName } from './protocol.ts';
import type { AskedJob, QuickJob, SlowStrategy, Strategy, Verdict } from './strategy.ts';

/** Every reason begins so: Bacalhau's words. */
const PREFIX = 'this node does not ';

/** The chain's word: what the bid stage answers, but for the resources. */
export type Decision =
  | { readonly kind: 'bid' }
  | { readonly kind: 'wait'; readonly reason: string }
  | Rejection;

export const BID: Decision = { kind: 'bid' };

/** Told of every strategy that had its say. */
export type Observer = (strategy: StrategyName, decision: Decision) => void;

/** Under which conditions slow strategies run. */
export interface SlowOptions {
  readonly signal: AbortSignal;
  /** For all of them together. */
  readonly deadlineMs: number;
  readonly observe?: Observer;
}

/**
 * The quick strategies, in the documented order: the first that does not say yes decides, whatever the slow ones
 * would have said, so that a job that is refused anyway costs no look-up.
 */
export function decideQuickly(strategies: readonly Strategy[], job: QuickJob, observe?: Observer): Decision {
  for (const strategy of strategies) {
    if (strategy.speed !== 'quick') continue;
    const decision = decisionOf(strategy, strategy.decide(job));
    observe?.(strategy.code, decision);
    if (decision.kind !== 'bid') return decision;
  }
  return BID;
}

/** The slow strategies that have something to look at. */
export function slowOnes(strategies: readonly Strategy[], job: AskedJob): readonly SlowStrategy[] {
  return strategies.filter(
    (strategy) => strategy.speed === 'slow' && strategy.applies(job),
  ) as SlowStrategy[];
}

/**
 * The slow strategies, all at once under one deadline. A final no ends it, and the others with it: whatever they
 * would have said changes nothing. Everything else waits for all of them, so that the kind of the decision does not
 * depend on who was first. One that fails or is late refuses for now: the same ask may be answered otherwise later.
 */
export async function decideSlowly(
  strategies: readonly SlowStrategy[],
  job: AskedJob,
  options: SlowOptions,
): Promise<Decision> {
  if (strategies.length === 0) return BID;
  const releases: (() => void)[] = [];
  for (const strategy of strategies) {
    const entered = strategy.enter?.() ?? (() => undefined);
    if (typeof entered === 'function') {
      releases.push(entered);
      continue;
    }
    for (const release of releases) release();
    const decision = decisionOf(strategy, entered);
    options.observe?.(strategy.code, decision);
    return decision;
  }
  const ending = new AbortController();
  const known = new Array<Decision | undefined>(strategies.length).fill(undefined);
  let left = strategies.length;
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const signal = AbortSignal.any([options.signal, ending.signal]);
  for (const [index, strategy] of strategies.entries()) {
    void verdictOf(strategy, job, { ...options, signal }, releases[index]).then((verdict) => {
      if (ending.signal.aborted) return;
      const decision = decisionOf(strategy, verdict);
      known[index] = decision;
      left -= 1;
      options.observe?.(strategy.code, decision);
      if (left === 0 || (decision.kind === 'reject' && decision.final)) end();
    });
  }
  await over;
  ending.abort();
  return choose(known);
}

/** All strategies, whatever the others say: for people who want to know why. */
export async function explainAll(
  strategies: readonly Strategy[],
  job: AskedJob,
  options: SlowOptions,
): Promise<{ readonly decision: Decision; readonly strategies: readonly StrategyReport[] }> {
  const decided = await Promise.all(
    strategies.map(async (strategy): Promise<[Decision, StrategyReport]> => {
      const startedAt = performance.now();
      const applies = strategy.speed === 'quick' || strategy.applies(job);
      const decision = applies ? await decideOne(strategy, job, options) : BID;
      const ms = performance.now() - startedAt;
      return [decision, reportOf(strategy.code, decision, applies, ms)];
    }),
  );
  return {
    decision: choose(decided.map(([decision]) => decision)),
    strategies: decided.map(([, report]) => report),
  };
}

async function decideOne(strategy: Strategy, job: AskedJob, options: SlowOptions): Promise<Decision> {
  if (strategy.speed === 'quick') return decisionOf(strategy, strategy.decide(job));
  const entered = strategy.enter?.() ?? (() => undefined);
  if (typeof entered !== 'function') return decisionOf(strategy, entered);
  return decisionOf(strategy, await verdictOf(strategy, job, options, entered));
}

function reportOf(strategy: StrategyName, decision: Decision, applies: boolean, ms: number): StrategyReport {
  switch (decision.kind) {
    case 'bid':
      return { strategy, verdict: applies ? 'yes' : 'not asked', reason: '', ms };
    case 'wait':
      return { strategy, verdict: 'wait', reason: decision.reason, ms };
    case 'reject':
      return { strategy, verdict: decision.final ? 'no' : 'not now', reason: decision.reason, ms };
  }
}

/** Reject before wait before bid; a final no before one that may change; then the documented order. */
function choose(decisions: readonly (Decision | undefined)[]): Decision {
  return (
    decisions.find((decision) => decision?.kind === 'reject' && decision.final) ??
    decisions.find((decision) => decision?.kind === 'reject') ??
    decisions.find((decision) => decision?.kind === 'wait') ??
    BID
  );
}

async function verdictOf(
  strategy: SlowStrategy,
  job: AskedJob,
  options: SlowOptions,
  release: (() => void) | undefined,
): Promise<Verdict> {
  const { deadlineMs, signal } = options;
  const late: Verdict = {
    kind: 'no',
    reason: `know in time whether to accept the job (${strategy.code} took longer than ${deadlineMs} ms)`,
    final: false,
  };
  const work = (limited: AbortSignal): Promise<Verdict> =>
    // Given back when the work has really ended, which may be after its answer was given up.
    strategy.decide(job, limited).finally(() => release?.());
  try {
    return await within(deadlineMs, signal, work, late);
  } catch (thrown) {
    return {
      kind: 'no',
      reason: `know whether to accept the job (${strategy.code}: ${toErrorData(thrown).message})`,
      final: false,
    };
  }
}

/** What `work` resolves to, or `late` at the deadline or the signal, whatever the work still does. */
export async function within<T>(
  deadlineMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  late: T,
): Promise<T> {
  const controller = new AbortController();
  let giveUp: () => void = () => undefined;
  const given = new Promise<T>((resolve) => {
    giveUp = () => {
      resolve(late);
      controller.abort();
    };
  });
  const timer = setTimeout(giveUp, deadlineMs);
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    if (signal.aborted) giveUp();
    const answer = work(controller.signal);
    answer.catch(() => undefined);
    return await Promise.race([answer, given]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
  }
}

function decisionOf(strategy: Strategy, verdict: Verdict): Decision {
  switch (verdict.kind) {
    case 'yes':
      return BID;
    case 'wait':
      return verdict;
    case 'no':
      return {
        kind: 'reject',
        final: verdict.final ?? true,
        code: verdict.code ?? strategy.code,
        reason: verdict.verbatim === true ? verdict.reason : `${PREFIX}${verdict.reason}`,
        ...(verdict.requested === undefined ? {} : { requested: verdict.requested }),
        ...(verdict.available === undefined ? {} : { available: verdict.available }),
      };
  }
}
