import { parse } from 'yaml';
import { NodeError } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import { emptyJob, type JobDraft } from './run-flags.ts';
import { wire, wireItems } from './wire.ts';

/** What a job file holds. */
export type JobFile =
  /** A job of the Job/Task form. */
  | { readonly kind: 'job'; readonly job: JobDraft }
  /** The older form with a Spec, which the node translates: sent as it is. */
  | { readonly kind: 'spec'; readonly text: string; readonly contentType: string };

const JOB_KEYS = ['Name', 'Namespace', 'Type', 'Priority', 'Count', 'Constraints', 'Meta', 'Labels', 'Tasks'];
/** Keys that only the node writes. */
const SERVER_KEYS = ['ID', 'State', 'Version', 'Revision', 'CreateTime', 'ModifyTime'];
const TASK_KEYS = [
  'Name',
  'Engine',
  'Publisher',
  'Env',
  'Meta',
  'InputSources',
  'ResultPaths',
  'Resources',
  'Network',
  'Timeouts',
];
const SPEC_KEYS = new Set([
  'apiversion',
  'spec',
  'job_spec_vm',
  'engine',
  'engines',
  'verifier',
  'docker',
  'wasm',
]);

function canonical(value: unknown, keys: readonly string[]): JobDraft {
  const out: JobDraft = {};
  for (const [key, inner] of Object.entries(wire(value))) {
    out[keys.find((known) => known.toLowerCase() === key.toLowerCase()) ?? key] = inner;
  }
  return out;
}

function lowerTexts(value: unknown): unknown {
  return Object.fromEntries(
    Object.entries(wire(value)).map(([key, inner]) => [
      key,
      typeof inner === 'string' || typeof inner === 'number' ? String(inner).trim().toLowerCase() : inner,
    ]),
  );
}

/**
 * Reads YAML or JSON. Unknown and node-owned keys of a job are an error here, because the node would ignore them.
 * @throws NodeError CommandInvalid
 */
export function readJobFile(text: string, name: string): JobFile {
  let document: unknown;
  try {
    document = parse(text, { version: '1.2' });
  } catch (cause) {
    const line = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new NodeError('CommandInvalid', `${name}: neither YAML nor JSON: ${line}`, { cause });
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new NodeError(
      'CommandInvalid',
      `${name}: expected a job: names and values, such as Type and Tasks`,
    );
  }
  const outer = wire(document);
  const keys = Object.keys(outer);
  const only = keys.length === 1 ? keys[0] : undefined;
  const body = only?.toLowerCase() === 'job' ? wire(outer[only ?? '']) : outer;
  const names = Object.keys(body).map((key) => key.toLowerCase());
  if (!names.includes('tasks') && names.some((key) => SPEC_KEYS.has(key))) {
    const json = text.trimStart().startsWith('{');
    return { kind: 'spec', text, contentType: json ? 'application/json' : 'application/yaml' };
  }
  const job = canonical(body, JOB_KEYS);
  const faults = Object.keys(job)
    .filter((key) => !JOB_KEYS.includes(key))
    .map((key) =>
      SERVER_KEYS.some((owned) => owned.toLowerCase() === key.toLowerCase())
        ? `"${key}" is set by the node; remove it`
        : `unknown key "${key}"; did you mean "${nearest(key, JOB_KEYS) ?? ''}"?`,
    );
  if (faults.length > 0) throw new NodeError('CommandInvalid', `${name}: ${faults.join('\n')}`);
  const tasks = Array.isArray(job['Tasks'])
    ? wireItems(job['Tasks']).map((task) => {
        const draft = canonical(task, TASK_KEYS);
        return draft['Resources'] === undefined
          ? draft
          : { ...draft, Resources: lowerTexts(draft['Resources']) };
      })
    : (job['Tasks'] ?? null);
  const type = typeof job['Type'] === 'string' ? job['Type'] : (job['Type'] ?? '');
  return { kind: 'job', job: { ...emptyJob(), ...job, Type: type, Tasks: tasks } };
}

const PLACEHOLDER = /\{\{-?\s*\.([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}/g;

/**
 * Fills in "{{.name}}" of a job file.
 * @throws NodeError CommandInvalid naming the variables that have no value
 */
export function fillTemplate(text: string, variables: Readonly<Record<string, string>>): string {
  const missing = new Set<string>();
  const filled = text.replaceAll(PLACEHOLDER, (whole, name: string) => {
    const value = variables[name];
    if (value === undefined) missing.add(name);
    return value ?? whole;
  });
  if (missing.size > 0) {
    throw new NodeError(
      'CommandInvalid',
      `the job file uses variables that have no value: ${[...missing].join(', ')} (give them with -V name=value)`,
    );
  }
  return filled;
}
