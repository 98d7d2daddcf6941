import { no, type QuickStrategy, type Verdict, YES } from '../strategy.ts';

/** The job's engine answers on this node. */
export const engineInstalled: QuickStrategy = {
  speed: 'quick',
  code: 'engine',
  decide: ({ header, offer }) => supports([header.engine], offer.engines),
};

/** The job's publisher answers on this node; a job without one needs none. */
export const publisherInstalled: QuickStrategy = {
  speed: 'quick',
  code: 'publisher',
  decide: ({ header, offer }) =>
    header.publisher === '' ? YES : supports([header.publisher], offer.publishers),
};

/** Every kind of input the job has can be brought here. */
export const storageInstalled: QuickStrategy = {
  speed: 'quick',
  code: 'storage',
  decide: ({ spec, offer }) =>
    supports(
      (spec.Tasks[0].InputSources ?? []).map((input) => storageKey(input.Source.Type)),
      offer.storages,
    ),
};

/** A storage's type as the offer names it: "local" is v1.9's other name of "localDirectory". */
export function storageKey(type: string): string {
  const key = type.trim().toLowerCase();
  return key === 'local' ? 'localdirectory' : key;
}

/** Bacalhau v1.9's words: "does not support ipfs, only inline, urldownload". */
function supports(wanted: readonly string[], installed: readonly string[]): Verdict {
  const missing = [...new Set(wanted)].filter((name) => !installed.includes(name));
  if (missing.length === 0) return YES;
  return no(`support ${missing.join(', ')}${installed.length > 0 ? `, only ${installed.join(', ')}` : ''}`);
}
