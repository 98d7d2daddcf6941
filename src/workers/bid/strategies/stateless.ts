import { no, type QuickStrategy, YES } from '../strategy.ts';

/** With `--job-selection-reject-stateless`, only jobs that read data. A WASM job's own modules are no data. */
export function stateless(options: { readonly rejectStateless: boolean }): QuickStrategy {
  return {
    speed: 'quick',
    code: 'stateless',
    decide: ({ facts: [, , readsData] }) =>
      !options.rejectStateless || readsData ? YES : no('accept jobs without any input volumes'),
  };
}
