import { type BidFacts, storageKey, storageTypes } from '../../core/headers.ts';
import type { InputSource, Task } from '../../core/job.ts';
import { parseDataUrl } from '../../storages/data-url.ts';
import { textParam } from '../../storages/params.ts';

/** What of a task a bid is decided on. */
export function bidFacts(task: Task): BidFacts {
  const { InputSources = [], Network } = task;
  return [Network.Type, storageTypes(task), readsData(task), inlineBytes(InputSources)];
}

/** True where all inputs are in the job itself: there is nothing to look up about them. */
export function isSelfContained([, storages]: BidFacts): boolean {
  return storages.every((type) => type === 'inline');
}

function readsData({ Engine, InputSources = [] }: Task): boolean {
  if (InputSources.length === 0) return false;
  const { EntryModule, ImportModules } = Engine.Params ?? {};
  const modules = new Set<unknown>([EntryModule, ...(Array.isArray(ImportModules) ? ImportModules : [])]);
  return InputSources.some((input) => !modules.has(input.Target));
}

/** Of inline inputs; one that can not be read counts as 0, because its run will tell what is wrong. */
function inlineBytes(inputs: readonly InputSource[]): number {
  let total = 0;
  for (const input of inputs) {
    if (storageKey(input.Source.Type) !== 'inline') continue;
    try {
      total += parseDataUrl(textParam(input, 'URL')).bytes;
    } catch {
      // Not a size to be told in time either.
    }
  }
  return total;
}
