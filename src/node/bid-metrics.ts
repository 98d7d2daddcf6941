import type { Metrics, Sample } from '../telemetry/metrics.ts';
import { strategyNames } from '../workers/bid/protocol.ts';
import { type BidTally, probeFaults, probeNames, verdictNames } from '../workers/bid/tally.ts';

/** Shows what the bid threads count. */
export function observeBids(metrics: Metrics, tally: BidTally): void {
  metrics.observe('bacalhau_bid_verdicts_total', function* (): Generator<Sample> {
    for (const strategy of strategyNames) {
      for (const verdict of verdictNames) {
        const value = tally.verdicts(strategy, verdict);
        if (value > 0) yield { labels: { strategy, verdict }, value };
      }
    }
  });
  metrics.observe('bacalhau_probe_failures_total', function* (): Generator<Sample> {
    // Zeros too: an alarm on a rate needs the value before the first failure.
    for (const probe of probeNames) {
      for (const cause of probeFaults)
        yield { labels: { probe, cause }, value: tally.failures(probe, cause) };
    }
  });
  metrics.observe('bacalhau_probes_running', () =>
    probeNames.map((probe) => ({ labels: { probe }, value: tally.running(probe) })),
  );
  metrics.observeHistogram('bacalhau_probe_seconds', () =>
    probeNames.map((probe) => ({ labels: { probe }, buckets: tally.durations(probe) })),
  );
}
