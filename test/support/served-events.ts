import type { HubOptions } from '../../src/events/hub.ts';
import type { ApiServer } from '../../src/net/api/adapter.ts';
import { serverOptions } from '../../src/net/api/api.ts';
import { createRoutes, type RouteModules } from '../../src/net/api/routes.ts';
import { createNodeServer } from '../../src/net/api/server-node.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { apiOptions, ScriptedNode, silent } from './api-doubles.ts';
import { ScriptedEvents } from './events.ts';

/** A server that tells scripted events, and can come and go. */
export class ServedEvents {
  events: ScriptedEvents;
  port = 0;
  readonly #modules: Partial<RouteModules>;
  #server: ApiServer | undefined;

  constructor(bounds: Partial<HubOptions['limits']> = {}, modules: Partial<RouteModules> = {}) {
    this.events = new ScriptedEvents(bounds);
    this.#modules = modules;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Listens, on the same port as before. */
  async start(): Promise<void> {
    const modules = { node: new ScriptedNode(), logger: silent, events: this.events.hub, ...this.#modules };
    this.#server = createNodeServer(serverOptions(apiOptions), {
      routes: createRoutes(apiOptions, modules),
      logger: silent,
      metrics: createMetrics({ version: 'test', processMetrics: false }),
    });
    ({ port: this.port } = await this.#server.listen('127.0.0.1', this.port));
  }

  async stop(): Promise<void> {
    await this.#server?.close(Date.now() + 500);
  }

  append(count: number): void {
    for (let n = 0; n < count; n += 1) this.events.append(n % 2 === 0 ? 'requester' : 'compute');
    this.events.requester.flush();
    this.events.compute.flush();
  }

  /** Resolves when there are so many subscribers. */
  async subscribed(count: number): Promise<void> {
    while (this.events.hub.subscribers !== count) await new Promise((resolve) => setImmediate(resolve));
  }
}
