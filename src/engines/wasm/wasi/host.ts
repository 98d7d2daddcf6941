import { NodeError } from '../../../core/errors.ts';
import { DIRECTORY_RIGHTS, FILE_RIGHTS } from './abi.ts';
import { Clocks } from './clocks.ts';
import { type Descriptor, DescriptorTable } from './descriptors.ts';
import { type Ending, RunEnded } from './ending.ts';
import { FileTimes } from './filestat.ts';
import type { MountTree } from './tree.ts';

export interface WasiOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Descriptors 0, 1 and 2. */
  readonly stdio: readonly [Descriptor, Descriptor, Descriptor];
  /** Preopened as "/" where anything is mounted. Belongs to the host from now on. */
  readonly tree: MountTree;
}

/** Everything the WASI calls of one run share, whichever of its modules makes them. */
export class WasiHost {
  readonly #options: WasiOptions;
  readonly tree: MountTree;
  readonly descriptors: DescriptorTable = new DescriptorTable();
  readonly times: FileTimes = new FileTimes();
  /**
   * True within a call, and after one that ended by anything but an error number: what it held may be lost,
   * so a guest that catches that must not make more calls.
   */
  inCall = false;
  #args: readonly Uint8Array[] | undefined;
  #environ: readonly Uint8Array[] | undefined;
  #clocks: Clocks | undefined;
  #ended: RunEnded | undefined;

  constructor(options: WasiOptions) {
    this.#options = options;
    this.tree = options.tree;
    for (const descriptor of options.stdio) this.descriptors.add(descriptor);
    const { root } = this.tree;
    if (root.source.kind === 'none' && root.children.size === 0) return;
    this.descriptors.add({
      kind: 'directory',
      rights: DIRECTORY_RIGHTS,
      inheriting: DIRECTORY_RIGHTS | FILE_RIGHTS,
      flags: 0,
      directory: { node: root, host: this.tree.hostOf(root) },
      preopen: '/',
      reader: undefined,
    });
  }

  /** The arguments, each with a NUL behind it. */
  get args(): readonly Uint8Array[] {
    this.#args ??= this.#options.args.map(terminated);
    return this.#args;
  }

  /** "NAME=value" sorted by name, each with a NUL behind it. */
  get environ(): readonly Uint8Array[] {
    const { env } = this.#options;
    this.#environ ??= Object.keys(env)
      .sort()
      .map((name) => terminated(`${name}=${env[name] ?? ''}`));
    return this.#environ;
  }

  /** Starts with the first use: linking a module that imports a clock is one. */
  get clocks(): Clocks {
    this.#clocks ??= new Clocks();
    return this.#clocks;
  }

  /** How the run ended, if it ended early. */
  get ending(): Ending | undefined {
    return this.#ended?.ending;
  }

  /** Ends the run: the first ending stays. */
  end(ending: Ending): never {
    this.#ended ??= new RunEnded(ending);
    throw this.#ended;
  }

  /** @throws RunEnded when the guest goes on although its run has ended, or a call of it was cut short */
  checkEnded(): void {
    if (this.#ended !== undefined) throw this.#ended;
    if (this.inCall) {
      const text = 'the program went on after a system call that ran out of stack (expected it to end)';
      this.end({ kind: 'failed', error: new NodeError('WasmTrap', text) });
    }
  }

  /** Closes all descriptors and mounts. */
  close(): void {
    this.descriptors.closeAll();
    this.tree.close();
  }
}

function terminated(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}
