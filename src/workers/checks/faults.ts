import { NodeError } from '../../core/errors.ts';
import { nearlySame } from '../../core/nearest.ts';

/** More than this is noise: the rest is counted. */
const FAULTS_SHOWN = 50;
/** Unknown keys remembered per struct for "did you mean". */
const UNKNOWN_KEYS_KEPT = 32;

/**
 * Collects everything that is wrong with one job, so that its author sees it all at once. Every fault has the
 * path of the field it is about: "Job.Tasks[0].Name: ...".
 */
export class Faults {
  readonly #lines: string[] = [];
  /** Fields whose faults would only follow from one that is told already; what lies below them too. */
  readonly #closed: Set<string> = new Set();
  readonly #unknown: Map<string, string[]> = new Map();
  #more = 0;

  /** A rule that does not hold. Not added where the field, or what it is part of, is missing or of a wrong type. */
  add(path: string, text: string): void {
    if (this.#closed.has(path) || this.#closed.has(path.slice(0, path.lastIndexOf('.')))) return;
    if (this.#lines.length < FAULTS_SHOWN) this.#lines.push(`${path}: ${text}`);
    else this.#more += 1;
  }

  /** A value of the wrong type. */
  mistyped(path: string, expected: string, value: unknown): void {
    this.add(path, `expected ${expected}, got ${describe(value)}`);
    this.#closed.add(path);
  }

  /** A list that is not looked into. */
  tooMany(path: string, count: number, most: number): void {
    this.add(path, `has ${count} elements (the maximum allowed is ${most})`);
    this.#closed.add(path);
  }

  /** A field that must be given and is not; names the unknown key that may have been meant for it. */
  missing(path: string, key: string, text: string): void {
    const typo = nearlySame(key, this.#unknown.get(path) ?? []);
    this.add(
      `${path}.${key}`,
      typo === undefined ? text : `${text} (found "${typo}": did you mean "${key}"?)`,
    );
    this.#closed.add(`${path}.${key}`);
  }

  /** Keys that no field has are ignored, but remembered for `missing`. */
  unknownKey(path: string, key: string): void {
    const keys = this.#unknown.get(path);
    if (keys === undefined) this.#unknown.set(path, [key]);
    else if (keys.length < UNKNOWN_KEYS_KEPT) keys.push(key);
  }

  get any(): boolean {
    return this.#lines.length > 0;
  }

  /** One line a fault. */
  get lines(): readonly string[] {
    return this.#more === 0 ? this.#lines : [...this.#lines, `and ${this.#more} more`];
  }

  /** @throws NodeError ValidationFailed, when there is any fault */
  throwIfAny(): void {
    if (this.any) throw new NodeError('ValidationFailed', this.lines.join('\n'));
  }
}

/** A value's JSON type in words: "a string", "null". Never the value, which may be a secret. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
