import type { BidPort } from '../../core/bids.ts';
import type { ComputePort, IngestPort, NodePort } from '../../core/ports.ts';
import type { EventHub } from '../../events/hub.ts';
import type { RequesterService } from '../../requester/service.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Route } from './adapter.ts';
import { agentRoutes } from './handlers/agent.ts';
import { archiveRoutes } from './handlers/archives.ts';
import { authRoutes } from './handlers/auth.ts';
import { bidRoutes } from './handlers/bids.ts';
import { computeRoutes } from './handlers/compute.ts';
import { downloadRoutes } from './handlers/downloads.ts';
import { type EventRouteOptions, eventRoutes } from './handlers/events.ts';
import { jobDetailRoutes } from './handlers/job-details.ts';
import { jobRoutes } from './handlers/jobs.ts';
import { localLogRoutes, logRoutes } from './handlers/logs.ts';
import { metricsRoutes } from './handlers/metrics.ts';
import { nodeRoutes } from './handlers/nodes.ts';
import type { BuildInfo } from './wire/node.ts';

/** What the routes call. A node without a role leaves its services out. */
export interface RouteModules {
  readonly node: NodePort;
  readonly requester?: RequesterService;
  /** Belongs to the requester role: without it no job can be submitted. */
  readonly ingest?: IngestPort;
  readonly compute?: ComputePort;
  readonly bids?: BidPort;
  readonly events?: EventHub;
  readonly logger: Logger;
}

/** The route table: every path that this node serves, given its roles. */
export function createRoutes(
  options: { readonly build: BuildInfo } & EventRouteOptions,
  modules: RouteModules,
): Route[] {
  const { build } = options;
  const { node, requester, ingest, compute, bids, events, logger } = modules;
  const routes: Route[] = [
    ...agentRoutes(node, build),
    ...metricsRoutes(node),
    ...downloadRoutes(node),
    ...(requester === undefined && compute === undefined ? [] : archiveRoutes({ requester, compute })),
  ];
  if (requester !== undefined) {
    routes.push(
      ...authRoutes(node),
      ...(ingest === undefined ? [] : jobRoutes(requester, ingest)),
      ...jobDetailRoutes(requester),
      ...logRoutes(requester, logger),
      ...nodeRoutes(requester, build),
    );
  }
  if (compute !== undefined) routes.push(...computeRoutes(compute), ...localLogRoutes(compute, logger));
  if (bids !== undefined) routes.push(...bidRoutes(bids));
  if (events !== undefined) routes.push(...eventRoutes(options, { hub: events, logger }));
  return routes;
}
