import assert from 'node:assert/strict';
import { NodeError } from '../../src/core/errors.ts';
import type { HttpReply, HttpRequest } from '../../src/net/api/adapter.ts';
import { Router } from '../../src/net/api/router.ts';
import { createRoutes, type RouteModules } from '../../src/net/api/routes.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import {
  apiOptions,
  ScriptedCompute,
  ScriptedIngest,
  ScriptedNode,
  ScriptedRequester,
  silent,
} from './api-doubles.ts';

/** Routes of a node with these services. */
export function routerOf(modules: Partial<RouteModules>): Router {
  const routes = createRoutes(apiOptions, { node: new ScriptedNode(), logger: silent, ...modules });
  return new Router(routes, createMetrics({ version: 'test', processMetrics: false }));
}

/** Asks the handlers of a node without a server in between. */
export class Asker {
  readonly requester: ScriptedRequester = new ScriptedRequester();
  readonly ingest: ScriptedIngest = new ScriptedIngest();
  readonly compute: ScriptedCompute = new ScriptedCompute();
  readonly #router: Router = routerOf(this);

  /** By a client of v1.9.3 unless the headers say otherwise. */
  async ask(
    method: string,
    target: string,
    options: { body?: string; headers?: Record<string, string> } = {},
  ): Promise<{ status: number; body: unknown; headers: HttpReply['headers'] }> {
    const [path = '', search = ''] = target.split('?');
    const match = this.#router.find(method, path);
    const headers: Record<string, string> = { 'x-bacalhau-git-version': 'v1.9.3', ...options.headers };
    const request: HttpRequest = {
      id: 'id-1',
      method,
      path,
      query: new URLSearchParams(search),
      header: (name) => headers[name] ?? '',
      remoteAddress: '127.0.0.1',
      params: match.params,
      body: async () => Buffer.from(options.body ?? ''),
      signal: new AbortController().signal,
    };
    const { handle } = match.entry.route;
    assert.ok(handle !== undefined, `${path} has no handler`);
    const reply = await handle(request);
    const text = String(reply.body);
    return {
      status: reply.status,
      body: text.startsWith('{') ? JSON.parse(text) : text,
      headers: reply.headers,
    };
  }

  /** What the requester was asked last. */
  lastCall(): unknown[] {
    return this.requester.calls.at(-1)?.arguments ?? [];
  }
}

/** For assert.throws and assert.rejects. */
export function raises(code: string): (error: unknown) => boolean {
  return (error) => error instanceof NodeError && error.code === code;
}
