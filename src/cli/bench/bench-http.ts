import { Pool } from 'undici';
import { NodeError } from '../../core/errors.ts';
import type { ApiClient } from '../client.ts';
import { type Wire, wire, wireText } from '../wire.ts';

/** Connections that stay open: more of them gain a single client nothing. */
const MOST_CONNECTIONS = 128;

/** Where a node is, and whom to trust there. */
export type BenchTarget = Pick<ApiClient, 'baseUrl' | 'tls'>;

/** A lean client for many small requests to one node. */
export class BenchHttp {
  readonly #pool: Pool;
  readonly #prefix: string;

  constructor(node: BenchTarget, options: { readonly connections: number }) {
    const { origin, pathname } = new URL(node.baseUrl);
    this.#prefix = pathname === '/' ? '' : pathname;
    const connections = Math.min(MOST_CONNECTIONS, options.connections);
    this.#pool = new Pool(origin, { connections, connect: node.tls });
  }

  /** @throws NodeError RequestFailed with the status and the node's words, or an error of the system */
  async send(method: 'PUT' | 'POST', path: string, body: Uint8Array): Promise<Wire> {
    const reply = await this.#pool.request({
      method,
      path: `${this.#prefix}${path}`,
      headers: { 'content-type': 'application/json' },
      body,
    });
    const text = await reply.body.text();
    const parsed = wire(parsedOrNothing(text));
    if (reply.statusCode >= 300) {
      throw new NodeError('RequestFailed', `status ${reply.statusCode}: ${wireText(parsed['Message'])}`);
    }
    return parsed;
  }

  /** Ends all connections, and what is under way on them. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

function parsedOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
