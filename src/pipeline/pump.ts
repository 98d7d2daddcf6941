/** Runs a function soon and once, however often it is asked for in one turn. */
export class Pump {
  readonly #run: () => void;
  readonly #isLate: boolean;
  #scheduled = false;
  #paused = false;
  readonly #runs = (): void => {
    this.#scheduled = false;
    if (!this.#paused) this.#run();
  };

  /** @param isLate at the end of the turn of the loop, after all that others do soon */
  constructor(run: () => void, isLate = false) {
    this.#run = run;
    this.#isLate = isLate;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Runs at the end of the present task, or of the turn, unless paused. */
  wake(): void {
    if (this.#scheduled || this.#paused) return;
    this.#scheduled = true;
    if (this.#isLate) setImmediate(this.#runs);
    else queueMicrotask(this.#runs);
  }

  /** Nothing runs any more. */
  pause(): void {
    this.#paused = true;
  }
}
