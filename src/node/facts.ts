import type { NodeId } from '../core/ids.ts';
import type { ComputeInfo, NodeInfo } from '../core/node-info.ts';
import { type BuildInfo, goArch, goOs } from '../net/api/wire/node.ts';

/** Changes are told together: capacity changes with every execution. */
const TELL_AFTER_MS = 100;
/** Told so often even if nothing changes: what is lost on the way is made good, and requesters see a sign of life. */
const TELL_EVERY_MS = 30_000;

export interface FactsOptions {
  readonly nodeId: NodeId;
  readonly version: string;
  readonly roles: { readonly compute: boolean; readonly requester: boolean };
  /** Configured ones; they win over the automatic ones. */
  readonly labels: Readonly<Record<string, string>>;
}

/** What the node says of itself, and when it says it. */
export class Facts {
  readonly #options: FactsOptions;
  readonly #post: (info: NodeInfo) => void;
  /** Set once by the composition root; a requester-only node has none. */
  compute: (() => ComputeInfo) | undefined;
  #telling: NodeJS.Timeout | undefined;
  #repeating: NodeJS.Timeout | undefined;

  constructor(options: FactsOptions, modules: { readonly post: (info: NodeInfo) => void }) {
    this.#options = options;
    this.#post = modules.post;
  }

  info(): NodeInfo {
    const { nodeId, roles, labels, version } = this.#options;
    return {
      nodeId,
      roles,
      version: `v${version}`,
      labels: { name: nodeId, os_type: goOs(process.platform), os_arch: goArch(process.arch), ...labels },
      compute: this.compute?.() ?? null,
    };
  }

  build(): BuildInfo {
    return {
      gitVersion: `v${this.#options.version}`,
      gitCommit: '',
      buildDate: '0001-01-01T00:00:00Z',
      os: goOs(process.platform),
      arch: goArch(process.arch),
    };
  }

  /** Tells now, and again and again until `stop`. */
  start(): void {
    this.changed();
    this.#repeating = setInterval(() => this.changed(), TELL_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#repeating);
    clearTimeout(this.#telling);
  }

  /** Tells whoever needs it, soon. */
  changed(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#post(this.info());
    }, TELL_AFTER_MS).unref();
  }
}
