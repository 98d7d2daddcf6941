import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import type { ApiServer, ServerOptions } from '../../src/net/api/adapter.ts';
import { type ServerFactory, serverOptions } from '../../src/net/api/api.ts';
import { createRoutes } from '../../src/net/api/routes.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import {
  apiOptions,
  ScriptedCompute,
  ScriptedIngest,
  ScriptedNode,
  ScriptedRequester,
  silent,
} from './api-doubles.ts';

/** Body limit of a served API, so that tests reach it cheaply. */
export const BODY_LIMIT = 10_000;

/** A server of one kind over scripted roles, with short timeouts. */
export class ServedApi {
  readonly requester: ScriptedRequester = new ScriptedRequester();
  readonly ingest: ScriptedIngest = new ScriptedIngest();
  readonly compute: ScriptedCompute = new ScriptedCompute();
  readonly node: ScriptedNode = new ScriptedNode();
  readonly metrics: Metrics = createMetrics({ version: 'test', processMetrics: false });
  port = 0;
  readonly #factory: ServerFactory;
  #server: ApiServer | undefined;

  constructor(factory: ServerFactory) {
    this.#factory = factory;
  }

  /** Another server over the same roles. */
  create(overrides: Partial<ServerOptions> = {}): ApiServer {
    const options: ServerOptions = {
      ...serverOptions(apiOptions),
      bodyBytes: BODY_LIMIT,
      headerTimeoutMs: 300,
      requestTimeoutMs: 600,
      handlerTimeoutMs: 1200,
      ...overrides,
    };
    const modules = {
      requester: this.requester,
      ingest: this.ingest,
      compute: this.compute,
      node: this.node,
      logger: silent,
    };
    return this.#factory(options, {
      routes: createRoutes(apiOptions, modules),
      logger: silent,
      metrics: this.metrics,
    });
  }

  async start(): Promise<void> {
    this.#server = this.create();
    ({ port: this.port } = await this.#server.listen('127.0.0.1', 0));
  }

  async stop(): Promise<void> {
    await this.#server?.close(Date.now() + 1000);
  }

  /** The roles as they were at first. */
  reset(): void {
    this.requester.error = undefined;
    this.ingest.error = undefined;
    this.ingest.gate = Promise.resolve();
    this.ingest.submissions.length = 0;
    this.compute.stream = undefined;
    this.compute.opened.length = 0;
  }

  get base(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Fails when the server no longer answers. */
  async alive(): Promise<void> {
    assert.equal(await (await fetch(`${this.base}/api/v1/agent/alive`)).text(), '{"Status":"OK"}');
  }

  put(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.base}/api/v1/orchestrator/jobs`, {
      method: 'PUT',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    });
  }
}

/** The envelope of a refused request; fails when it is none. */
export async function envelope(reply: Response, status: number): Promise<Record<string, unknown>> {
  const body = (await reply.json()) as Record<string, unknown>;
  assert.equal(reply.status, status, JSON.stringify(body));
  assert.equal(body['Status'], status);
  for (const key of ['Message', 'RequestID', 'Code', 'Component'])
    assert.equal(typeof body[key], 'string', key);
  return body;
}

/** One request by node:http, which sends paths as they are. */
export function call(
  port: number,
  method: string,
  path: string,
  body: string,
): Promise<{ status: number; text: string; id: string }> {
  return new Promise((resolve, reject) => {
    const payload = method === 'GET' || method === 'HEAD' || method === 'OPTIONS' ? '' : body;
    const headers = { 'content-length': Buffer.byteLength(payload) };
    const sent = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('end', () =>
        resolve({
          status: reply.statusCode ?? 0,
          text: Buffer.concat(chunks).toString(),
          id: String(reply.headers['x-request-id'] ?? ''),
        }),
      );
      reply.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(payload);
  });
}
