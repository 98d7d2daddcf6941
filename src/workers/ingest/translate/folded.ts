import { isObject, type Source } from '../../checks/keys.ts';

/** An object of the older forms: keys in any casing, with or without underscores. */
export class Folded {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(source: Source) {
    this.#values = new Map(Object.entries(source).map(([key, value]) => [Folded.fold(key), value]));
  }

  static fold(key: string): string {
    return key.toLowerCase().replaceAll('_', '');
  }

  /** The first of these keys that has a value; undefined when none has. */
  get(...names: readonly string[]): unknown {
    for (const name of names) {
      const value = this.#values.get(name);
      if (value !== undefined && value !== null) return value;
    }
    return undefined;
  }

  /** Text, trimmed; "" when absent or of another type. */
  text(...names: readonly string[]): string {
    const value = this.get(...names);
    return typeof value === 'string' ? value.trim() : '';
  }

  /** An object; an empty one when absent or of another type. */
  object(...names: readonly string[]): Folded {
    const value = this.get(...names);
    return new Folded(isObject(value) ? value : {});
  }

  /** True when there is anything but zero values under these keys. */
  has(...names: readonly string[]): boolean {
    const value = this.get(...names);
    if (Array.isArray(value)) return value.length > 0;
    if (isObject(value)) return Object.keys(value).length > 0;
    return value !== undefined && value !== '' && value !== false && value !== 0;
  }
}

/** `struct` without the keys that have no value, so that the newest form's defaults hold for them. */
export function given(struct: Source): Source {
  return Object.fromEntries(Object.entries(struct).filter(([, value]) => value !== undefined));
}
