import { Buckets, type Metrics, type Sample } from '../../../telemetry/metrics.ts';
import type { FaultReason } from './fault.ts';
import type { MessageType } from './messages.ts';

const ROUND_TRIP_BOUNDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30,
] as const;

/** Which protocol bytes belong to. */
export type Traffic = 'messages' | 'body' | 'fetch';

class Tally<K extends string> {
  readonly #values = new Map<K, number>();

  add(key: K, count = 1): void {
    this.#values.set(key, (this.#values.get(key) ?? 0) + count);
  }

  *samples(label: string, more: Readonly<Record<string, string>> = {}): Generator<Sample> {
    for (const [key, value] of this.#values) yield { labels: { ...more, [label]: key }, value };
  }
}

/** What the wire counts; `/metrics` shows it. */
export class WireCounts {
  readonly in: Tally<MessageType> = new Tally();
  readonly out: Tally<MessageType> = new Tally();
  readonly bytesIn: Tally<Traffic> = new Tally();
  readonly bytesOut: Tally<Traffic> = new Tally();
  readonly refused: Tally<FaultReason> = new Tally();
  readonly downs: Tally<string> = new Tally();
  readonly roundTrips: Buckets = new Buckets(ROUND_TRIP_BOUNDS);

  /** Shows them, beside what can be read at any time. */
  show(
    metrics: Metrics,
    now: {
      links(): number;
      floods(): number;
      barred(): number;
      waiting(): number;
      bodyBytes(): number;
      fetches(): number;
    },
  ): void {
    const { in: received, out: sent, bytesIn, bytesOut, refused, downs, roundTrips } = this;
    metrics.observe('bacalhau_wire_messages_total', function* () {
      yield* received.samples('type', { direction: 'in' });
      yield* sent.samples('type', { direction: 'out' });
    });
    metrics.observe('bacalhau_wire_bytes_total', function* () {
      yield* bytesIn.samples('traffic', { direction: 'in' });
      yield* bytesOut.samples('traffic', { direction: 'out' });
    });
    metrics.observe('bacalhau_wire_refused_total', function* () {
      yield* refused.samples('reason');
      yield { labels: { reason: 'flood' }, value: now.floods() };
    });
    metrics.observe('bacalhau_wire_link_downs_total', () => downs.samples('reason'));
    metrics.observeHistogram('bacalhau_wire_round_trip_seconds', () => [{ labels: {}, buckets: roundTrips }]);
    metrics.observe('bacalhau_wire_links', () => [{ labels: {}, value: now.links() }]);
    metrics.observe('bacalhau_wire_barred_peers', () => [{ labels: {}, value: now.barred() }]);
    metrics.observe('bacalhau_wire_waiting_messages', () => [{ labels: {}, value: now.waiting() }]);
    metrics.observe('bacalhau_wire_body_bytes', () => [{ labels: {}, value: now.bodyBytes() }]);
    metrics.observe('bacalhau_wire_fetches', () => [{ labels: {}, value: now.fetches() }]);
  }
}
