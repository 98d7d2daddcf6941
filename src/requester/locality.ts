/** Inputs remembered of one node: what it keeps itself is bounded too, and old ones may be gone. */
const BOUND = 256;

/**
 * Inputs that a node has taken up jobs with: it had them, or has fetched them since. A hint for ranking and no
 * promise; what was seen longest ago is forgotten first, and everything with the process.
 */
export class SeenInputs {
  readonly #seen = new Set<string>();

  note(inputs: readonly string[]): void {
    for (const input of inputs) {
      this.#seen.delete(input);
      this.#seen.add(input);
    }
    for (const oldest of this.#seen) {
      if (this.#seen.size <= BOUND) return;
      this.#seen.delete(oldest);
    }
  }

  forget(inputs: readonly string[]): void {
    for (const input of inputs) this.#seen.delete(input);
  }

  /** Which part of these the node has been seen with: 0 to 1. */
  share(inputs: readonly string[]): number {
    if (inputs.length === 0 || this.#seen.size === 0) return 0;
    return inputs.filter((input) => this.#seen.has(input)).length / inputs.length;
  }
}
