import type { NodePort } from '../../../core/ports.ts';
import { METRICS_CONTENT_TYPE } from '../../../telemetry/metrics.ts';
import type { Route } from '../adapter.ts';

/** Prometheus text. */
export function metricsRoutes(node: NodePort): Route[] {
  return [
    {
      method: 'GET',
      path: '/metrics',
      handle: async () => ({
        status: 200,
        headers: { 'Content-Type': METRICS_CONTENT_TYPE },
        body: await node.metrics(),
      }),
    },
  ];
}
