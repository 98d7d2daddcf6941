import type { ExecutionHeader } from '../core/item.ts';
import type { Resources } from '../core/job.ts';

/** Distinct values remembered: what comes after so many is new often, and kept as it is. */
const MOST = 1024;

/**
 * Headers of executions that wait by the thousand, made of the same few values: each text and each request that many
 * of them have is kept once. Read from messages, threads and rows, every one would bring copies of its own.
 */
export class SharedTexts {
  readonly #texts = new Map<string, string>();
  readonly #resources = new Map<string, Resources>();

  /** The same header, of values that others have too. */
  share(header: ExecutionHeader): ExecutionHeader {
    return {
      executionId: header.executionId,
      jobId: header.jobId,
      jobVersion: header.jobVersion,
      requesterId: this.#text(header.requesterId),
      namespace: this.#text(header.namespace),
      jobType: this.#text(header.jobType),
      priority: header.priority,
      engine: this.#text(header.engine),
      publisher: this.#text(header.publisher),
      resources: this.#request(header.resources),
      executionTimeoutMs: header.executionTimeoutMs,
      queueTimeoutMs: header.queueTimeoutMs,
      totalTimeoutMs: header.totalTimeoutMs,
      fileless: header.fileless,
    };
  }

  #text<T extends string>(text: T): T {
    const known = this.#texts.get(text);
    // Equal texts of one type are of one type.
    if (known !== undefined) return known as T;
    if (this.#texts.size < MOST) this.#texts.set(text, text);
    return text;
  }

  #request(resources: Resources): Resources {
    const { cpu, memory, disk, gpu } = resources;
    const key = `${cpu} ${memory} ${disk} ${gpu}`;
    const known = this.#resources.get(key);
    if (known !== undefined) return known;
    if (this.#resources.size < MOST) this.#resources.set(key, resources);
    return resources;
  }
}
