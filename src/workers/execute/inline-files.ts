import { join } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import type { InputSource } from '../../core/job.ts';
import { formatBytes } from '../../core/resources.ts';
import type { PreparedInput, RunRequest } from '../../engines/engine.ts';
import { inlineFile } from '../../storages/inline.ts';
import { textParam } from '../../storages/params.ts';

/** Bytes of modules and of their texts that a thread keeps decoded: many small ones, or the largest a job can hold. */
const KEPT_BYTES = 24 * 1024 * 1024;
/** What a WebAssembly module begins with: "\\0asm". */
const MAGIC = 0x0061736d;

type InlineInput = PreparedInput & { readonly content: Uint8Array };

/**
 * The inputs of fileless jobs, which are all in their specs. Modules are kept decoded, by their text: jobs come in series
 * that run the same one. The least lately used go first.
 */
export class InlineFiles {
  readonly #mostBytes: number;
  readonly #kept = new Map<string, Uint8Array>();
  #keptBytes = 0;

  /** @param options bytes that are kept; default 24 MiB */
  constructor(options: { keptBytes?: number } = {}) {
    this.#mostBytes = options.keptBytes ?? KEPT_BYTES;
  }

  /** The inputs of one job, within what it may write to disk. @throws NodeError InputInvalid, InputTooLarge */
  of({ spec, placement, maxResultBytes }: RunRequest): InlineInput[] {
    let left = maxResultBytes;
    return (spec.Tasks[0].InputSources ?? []).map((source, index) => {
      const input = this.#read(source, join(placement.directory, 'inputs', String(index), 'content'));
      left -= input.content.length;
      if (left >= 0) return input;
      throw new NodeError(
        'InputTooLarge',
        `Tasks[0].InputSources: together they exceed ${formatBytes(maxResultBytes)} (expected no more than the disk the job asks for)`,
      );
    });
  }

  #read(source: InputSource, path: string): InlineInput {
    const text = textParam(source, 'URL');
    const content = this.#kept.get(text);
    if (content === undefined) {
      const input = inlineFile(source, path);
      if (isModule(input.content)) this.#keep(text, input.content);
      return input;
    }
    this.#kept.delete(text);
    this.#kept.set(text, content);
    return { path, target: source.Target, alias: source.Alias, readOnly: true, content };
  }

  #keep(text: string, content: Uint8Array): void {
    const bytes = sizeOf(text, content);
    if (bytes > this.#mostBytes) return;
    this.#kept.set(text, content);
    this.#keptBytes += bytes;
    for (const [oldest, its] of this.#kept) {
      if (this.#keptBytes <= this.#mostBytes) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= sizeOf(oldest, its);
    }
  }
}

function sizeOf(text: string, content: Uint8Array): number {
  return text.length + content.length;
}

function isModule(content: Uint8Array): boolean {
  return content.length >= 4 && Buffer.from(content.buffer, content.byteOffset, 4).readUInt32BE() === MAGIC;
}
