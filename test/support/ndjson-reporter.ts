import { inspect } from 'node:util';

/** One test that has ended, suites left out. */
export interface ReportedTest {
  /** Names of its suites and its own. */
  readonly name: string;
  /** Why it was skipped. */
  readonly skip?: string;
  /** Its error with its stack. */
  readonly failure?: string;
}

interface TestEvent {
  readonly type: string;
  readonly data: {
    readonly name: string;
    readonly nesting: number;
    readonly file?: string;
    readonly skip?: string | boolean;
    readonly message?: string;
    readonly details?: { readonly type?: string; readonly error?: unknown };
  };
}

/** What a test has to say besides. */
export interface ReportedWord {
  readonly diagnostic: string;
}

/** Reporter for `node --test`: a line of JSON a test, and one a diagnostic. */
export default async function* ndjson(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const path: string[] = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      path.length = data.nesting;
      path[data.nesting] = data.name;
    }
    // Those of the whole run are its counts.
    if (type === 'test:diagnostic' && data.nesting > 0) {
      const word: ReportedWord = { diagnostic: data.message ?? '' };
      yield `${JSON.stringify(word)}\n`;
    }
    const failed = type === 'test:fail';
    if ((type !== 'test:pass' && !failed) || (data.details?.type === 'suite' && !failed)) continue;
    // The failure of a suite is that of its tests.
    const error = data.details?.error;
    if (failed && isOfSubtests(error)) continue;
    const skip = data.skip === undefined || data.skip === false ? undefined : String(data.skip);
    const test: ReportedTest = {
      name: [...path.slice(0, data.nesting), data.name].join(' > '),
      ...(skip === undefined ? {} : { skip }),
      ...(failed ? { failure: inspect(error) } : {}),
    };
    yield `${JSON.stringify(test)}\n`;
  }
}

function isOfSubtests(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'failureType' in error &&
    error.failureType === 'subtestsFailed'
  );
}
