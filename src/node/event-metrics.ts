import type { EventHub } from '../events/hub.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** Shows what the events' subscribers get. */
export function observeEvents(metrics: Metrics, hub: EventHub): void {
  const one = (value: number): [{ labels: Record<string, string>; value: number }] => [{ labels: {}, value }];
  const { counts } = hub;
  metrics.observe('bacalhau_event_subscribers', () => one(hub.subscribers));
  metrics.observe('bacalhau_event_deliveries_total', () =>
    Object.entries(counts.delivered).map(([encoding, value]) => ({ labels: { encoding }, value })),
  );
  metrics.observe('bacalhau_event_gaps_total', () => one(counts.gaps));
  metrics.observe('bacalhau_event_ends_total', () =>
    Object.entries(counts.ends).map(([how, value]) => ({ labels: { how }, value })),
  );
  metrics.observe('bacalhau_event_lag', () => one(hub.lag));
  metrics.observe('bacalhau_event_seq', () => one(hub.end - 1));
}
