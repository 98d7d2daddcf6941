import { toErrorData } from '../../core/errors.ts';
import type { RejectCode, Rejection } from '../../core/outcome.ts';
import { type AskedJob, type SlowStrategy, type Strategy, type Verdict } from './strategy.ts';

/** Every reason begins so: Bacalhau's words. */
const PREFIX = 'this node does not ';

/** The chain's word: what the bid stage answers, but for the resources. */
export type Decision =
  | { readonly kind: 'bid' }
  | { readonly kind: 'wait'; readonly reason: string; readonly untilMs: number }
  | Rejection;

export const BID: Decision = { kind: 'bid' };

/**
 * The quick strategies, in the documented order: the first that does not say yes decides, whatever the slow ones
 * would have said, so that a job that is refused anyway costs no look-up.
 */
export function decideQuickly(strategies: readonly Strategy[], job: AskedJob): Decision {
  for (const strategy of strategies) {
    if (strategy.speed !== 'quick') continue;
    const decision = decisionOf(strategy.code, strategy.decide(job));
    if (decision.kind !== 'bid') return decision;
  }
  return BID;
}

/**
 * The slow strategies, all at once under one deadline. Of those that do not say yes, the first in the documented
 * order decides. One that fails or is late refuses for now: the same ask may be answered otherwise later.
 */
export async function decideSlowly(
  strategies: readonly Strategy[],
  job: AskedJob,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<Decision> {
  const slow = strategies.filter((strategy) => strategy.speed === 'slow');
  const answers = await Promise.all(
    slow.map(async (strategy) =>
      decisionOf(strategy.code, await verdictOf(strategy, job, signal, deadlineMs)),
    ),
  );
  return answers.find((decision) => decision.kind !== 'bid') ?? BID;
}

async function verdictOf(
  strategy: SlowStrategy,
  job: AskedJob,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<Verdict> {
  const late: Verdict = {
    kind: 'no',
    reason: `know in time whether to accept the job (${strategy.code} took longer than ${deadlineMs} ms)`,
    final: false,
  };
  try {
    return await within(deadlineMs, signal, (limited) => strategy.decide(job, limited), late);
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

function decisionOf(code: RejectCode, verdict: Verdict): Decision {
  switch (verdict.kind) {
    case 'yes':
      return BID;
    case 'wait':
      return verdict;
    case 'no':
      return {
        kind: 'reject',
        final: verdict.final ?? true,
        code,
        reason: `${PREFIX}${verdict.reason}`,
        ...(verdict.requested === undefined ? {} : { requested: verdict.requested }),
        ...(verdict.available === undefined ? {} : { available: verdict.available }),
      };
  }
}
