/** So many are looked through; of more there is an index. */
const FEW = 16;

/**
 * Values by the ids in them, in the order in which they came. For what is mostly one or two: those cost no hash table, and
 * ten thousand no search.
 */
export class ById<T> {
  readonly #idOf: (value: T) => string;
  #values: T[] | undefined;
  #places: Map<string, number> | undefined;

  constructor(idOf: (value: T) => string) {
    this.#idOf = idOf;
  }

  get size(): number {
    return this.#values?.length ?? 0;
  }

  /** Not to be changed; what is set later may be in it or not. */
  get values(): readonly T[] {
    return this.#values ?? [];
  }

  get(id: string): T | undefined {
    return this.#values?.[this.#placeOf(id)];
  }

  /** Adds a value, or replaces that of the same id. */
  set(value: T): void {
    const id = this.#idOf(value);
    const at = this.#placeOf(id);
    if (this.#values === undefined) this.#values = [value];
    else if (at >= 0) this.#values[at] = value;
    else {
      this.#values.push(value);
      this.#places?.set(id, this.#values.length - 1);
    }
  }

  /** -1 where there is none. */
  #placeOf(id: string): number {
    const values = this.#values;
    if (values === undefined) return -1;
    if (values.length <= FEW) return values.findIndex((value) => this.#idOf(value) === id);
    this.#places ??= new Map(values.map((value, at) => [this.#idOf(value), at]));
    return this.#places.get(id) ?? -1;
  }
}
