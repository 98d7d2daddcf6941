import type { Faults } from '../../checks/faults.ts';
import { isObject, type Source } from '../../checks/keys.ts';
import { Folded } from './folded.ts';
import { translateSpec } from './spec.ts';

/** A job in the newest form, not checked, and what got lost on the way. */
export interface Translated {
  readonly job: Source;
  readonly warnings: readonly string[];
}

/** Keys that only the older specs have on their top level. */
const SPEC_KEYS = ['jobspecvm', 'jobspecdocker', 'jobspecwasm', 'docker', 'wasm', 'enginespec'] as const;

/**
 * Brings the older forms of a job to Bacalhau v1.9's: `{APIVersion: "V1beta1", Spec: {...}}`, a bare `Spec`, and
 * the first releases' `{engine, verifier, job_spec_vm}`, alone or under `spec`. A job in the newest form is
 * returned as it is.
 */
export function translate(source: Source, faults: Faults): Translated {
  const spec = findSpec(source);
  if (spec === undefined) return { job: source, warnings: [] };
  const warnings: string[] = ['the job is of an older form and was translated to Job and Task'];
  return { job: translateSpec(new Folded(spec), warnings, faults), warnings };
}

function findSpec(source: Source): Source | undefined {
  let engine: unknown;
  let old = false;
  for (const key in source) {
    const folded = Folded.fold(key);
    if (folded === 'tasks') return undefined;
    if (folded === 'spec' && isObject(source[key])) return source[key];
    if (folded === 'engine') engine = source[key];
    if ((SPEC_KEYS as readonly string[]).includes(folded) && isObject(source[key])) old = true;
  }
  return old || typeof engine === 'string' ? source : undefined;
}
