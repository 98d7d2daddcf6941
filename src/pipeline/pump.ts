/** Runs a function soon and once, however often it is asked for in one turn. */
export class Pump {
  readonly #run: () => void;
  #scheduled = false;
  #paused = false;

  constructor(run: () => void) {
    this.#run = run;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Runs at the end of the present task, unless paused. */
  wake(): void {
    if (this.#scheduled || this.#paused) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#paused) this.#run();
    });
  }

  /** Nothing runs any more. */
  pause(): void {
    this.#paused = true;
  }
}
