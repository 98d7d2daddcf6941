import type { Task } from '../../../core/job.ts';
import { no, type QuickStrategy, YES } from '../strategy.ts';

/** With `--job-selection-reject-stateless`, only jobs that read data. A WASM job's own modules are no data. */
export function stateless(options: { readonly rejectStateless: boolean }): QuickStrategy {
  return {
    speed: 'quick',
    code: 'stateless',
    decide: ({ spec }) =>
      !options.rejectStateless || readsData(spec.Tasks[0])
        ? YES
        : no('accept jobs without any input volumes'),
  };
}

function readsData(task: Task): boolean {
  const { EntryModule, ImportModules } = task.Engine.Params ?? {};
  const modules = new Set<unknown>([EntryModule, ...(Array.isArray(ImportModules) ? ImportModules : [])]);
  return (task.InputSources ?? []).some((input) => !modules.has(input.Target));
}
