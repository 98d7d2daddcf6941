import { type CliContext, hasColour } from './context.ts';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const;
const FRAME_MS = 100;

/** A line that shows that something goes on. Only where people watch: on a terminal, on stderr. */
export class Spinner {
  readonly #context: CliContext;
  #text = '';
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(context: CliContext) {
    this.#context = context;
  }

  /** Shows `text`, or replaces what is shown. */
  show(text: string): void {
    const { stdout, stderr } = this.#context;
    if (!stdout.isTTY || !stderr.isTTY || !hasColour(this.#context, stderr)) return;
    this.#text = text;
    if (this.#timer === undefined) {
      this.#timer = setInterval(() => this.#draw(), FRAME_MS);
      this.#timer.unref();
      this.#draw();
    }
  }

  /** Wipes the line; what is printed next starts at its beginning. */
  hide(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#context.stderr.write('\r\u001b[2K');
  }

  #draw(): void {
    this.#frame = (this.#frame + 1) % FRAMES.length;
    this.#context.stderr.write(`\r\u001b[2K${FRAMES[this.#frame] ?? ''} ${this.#text}`);
  }
}
