import { setTimeout as delay } from 'node:timers/promises';
import type { Outcome } from '../../../src/core/outcome.ts';
import { type HandlerContext, serve } from '../../../src/workers/entry.ts';

/** What the test asks of a thread. */
export type EchoInput =
  | { readonly do: 'echo'; readonly value: number }
  | { readonly do: 'throw'; readonly text: string }
  | { readonly do: 'wait-for-kill' }
  /** Reports, waits and reports again. */
  | { readonly do: 'report'; readonly waitMs: number }
  | { readonly do: 'exit' }
  | { readonly do: 'live' };

let setting: unknown = 'unset';

async function handle(input: EchoInput, context: HandlerContext<string>): Promise<Outcome<unknown>> {
  switch (input.do) {
    case 'echo':
      return { kind: 'advance', value: input.value };
    case 'throw':
      throw new Error(input.text);
    case 'exit':
      process.exit(3);
      break;
    case 'live':
      return { kind: 'advance', value: setting };
    case 'report':
      context.report('first');
      if (input.waitMs > 0) await delay(input.waitMs);
      context.report('second');
      return { kind: 'advance', value: 0 };
    case 'wait-for-kill': {
      context.report('waiting');
      const keepAlive = delay(60_000, undefined, { signal: context.signal }).catch(() => undefined);
      await keepAlive;
      return { kind: 'cancelled', reason: JSON.stringify(context.signal.reason) };
    }
  }
}

export default serve<EchoInput, unknown, string>(() => ({
  handle,
  onLive: (_name, value) => {
    setting = value;
  },
}));
