import type { Metrics } from '../../telemetry/metrics.ts';
import type { ApiServer, ServerOptions } from './adapter.ts';
import type { ServerModules } from './front.ts';
import type { ApiOptions } from './options.ts';
import { createRoutes, type RouteModules } from './routes.ts';

/** Read-header timeout of Bacalhau v1.9's server; its body has 20 s. */
const HEADER_TIMEOUT_MS = 5000;
const BODY_TIMEOUT_MS = 20_000;
/** Head of a request: Bacalhau's too. */
export const HEADER_BYTES = 16_384;
const IDLE_TIMEOUT_MS = 120_000;
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
const PING_INTERVAL_MS = 30_000;

/** What the API is made of. */
export interface ApiModules extends RouteModules {
  readonly options: ApiOptions;
  readonly metrics: Metrics;
}

/** Makes a server of one kind; tests and benches pass theirs. */
export type ServerFactory = (options: ServerOptions, modules: ServerModules) => ApiServer;

/** The REST and WebSocket API of a node, on `createServer`. */
export function createApi(modules: ApiModules, createServer: ServerFactory): ApiServer {
  const { options, metrics, logger } = modules;
  return createServer(serverOptions(options), {
    routes: createRoutes(options, modules),
    logger,
    metrics,
  });
}

/** Bounds of the server that serves the API so. */
export function serverOptions(options: ApiOptions): ServerOptions {
  const { build, limits } = options;
  return {
    headers: [
      ['X-Bacalhau-Git-Version', build.gitVersion],
      ['X-Bacalhau-Git-Commit', build.gitCommit],
      ['X-Bacalhau-Build-Date', build.buildDate],
      ['X-Bacalhau-Build-OS', build.os],
      ['X-Bacalhau-Arch', build.arch],
    ],
    bodyBytes: limits.bodyBytes,
    headerBytes: HEADER_BYTES,
    maxConnections: options.maxConnections,
    headerTimeoutMs: Math.min(HEADER_TIMEOUT_MS, options.requestTimeoutMs),
    requestTimeoutMs: Math.min(BODY_TIMEOUT_MS, options.requestTimeoutMs),
    handlerTimeoutMs: options.requestTimeoutMs,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    keepAliveTimeoutMs: KEEP_ALIVE_TIMEOUT_MS,
    pingIntervalMs: PING_INTERVAL_MS,
    requestsPerSecond: options.requestsPerSecond,
    sockets: {
      logs: { count: limits.logReaders, bufferBytes: limits.logBufferBytes },
      events: { count: limits.eventSubscribers, bufferBytes: limits.eventBufferBytes },
    },
    ...(options.tls === undefined ? {} : { tls: options.tls }),
  };
}
