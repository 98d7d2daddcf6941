import { toErrorData } from '../../../core/errors.ts';
import { storageKey } from '../../../core/headers.ts';
import type { InputSource, Task } from '../../../core/job.ts';
import type { Storage } from '../../../storages/storage.ts';
import { no, type SlowStrategy, type Verdict, YES } from '../strategy.ts';

export interface LocalityOptions {
  readonly locality: 'local' | 'anywhere';
}

/** Where the strategy finds a kind of input. */
export type FindStorage = (type: string) => Promise<Storage | undefined>;

/** One input is looked for at a time per job in these many places. */
const LOOK_UPS = 8;

/**
 * With `--job-selection-data-locality local`, only jobs all of whose inputs are on this node already. A local
 * directory that is not here, or not allow-listed, is refused with `anywhere` too: nobody can bring it.
 */
export function inputLocality(options: LocalityOptions, find: FindStorage): SlowStrategy {
  const looked = (task: Task): readonly InputSource[] =>
    (task.InputSources ?? []).filter(({ Source }) =>
      options.locality === 'local'
        ? storageKey(Source.Type) !== 'inline'
        : storageKey(Source.Type) === 'localdirectory',
    );
  return {
    speed: 'slow',
    code: 'locality',
    applies: ({ spec }) => looked(spec.Tasks[0]).length > 0,
    decide: async ({ spec }, signal) => {
      const inputs = looked(spec.Tasks[0]);
      const answers = await inBatches(inputs, (input) => lookUp(input, find, signal));
      const fault = answers.find((answer) => typeof answer === 'string');
      if (fault !== undefined) return no(`accept the job's inputs: ${fault}`);
      const missing = inputs.filter((_, index) => answers[index] === false);
      return missing.length === 0 ? YES : refuse(missing);
    },
  };
}

function refuse(missing: readonly InputSource[]): Verdict {
  // Told first: "anywhere" would not help these.
  const paths = missing
    .filter((input) => storageKey(input.Source.Type) === 'localdirectory')
    .map((input) => String(input.Source.Params?.['SourcePath'] ?? ''));
  if (paths.length > 0) {
    return no(`have or allow the local path ${paths.join(', ')} (see --allow-listed-local-paths)`);
  }
  const count = `${missing.length} ${missing.length === 1 ? 'input requires' : 'inputs require'} downloading`;
  return no(
    `have all input data locally (${count}; --job-selection-data-locality is "local", "anywhere" accepts them)`,
  );
}

/** True, false, or what is wrong with the input. A failed look-up that may succeed later rejects. */
async function lookUp(input: InputSource, find: FindStorage, signal: AbortSignal): Promise<boolean | string> {
  const storage = await find(storageKey(input.Source.Type));
  if (storage === undefined) return false;
  try {
    return await storage.hasLocally(input, signal);
  } catch (thrown) {
    const { code, message } = toErrorData(thrown);
    if (code === 'InputInvalid' || code === 'InputForbidden') return message;
    throw thrown;
  }
}

async function inBatches<T, R>(items: readonly T[], handle: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += LOOK_UPS) {
    results.push(...(await Promise.all(items.slice(start, start + LOOK_UPS).map(handle))));
  }
  return results;
}
