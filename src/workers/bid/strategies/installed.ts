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
  decide: ({ facts: [, storages], offer }) => supports(storages, offer.storages),
};

/** Bacalhau v1.9's words: "does not support ipfs, only inline, urldownload". */
function supports(wanted: readonly string[], installed: readonly string[]): Verdict {
  if (wanted.every((name) => installed.includes(name))) return YES;
  const missing = wanted.filter((name) => !installed.includes(name));
  return no(`support ${missing.join(', ')}${installed.length > 0 ? `, only ${installed.join(', ')}` : ''}`);
}
