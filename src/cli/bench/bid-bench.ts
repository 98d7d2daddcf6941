import type { BidAnswer } from '../../node/bid-asker.ts';
import { createLogger } from '../../telemetry/logger.ts';
import type { ApiClient } from '../client.ts';
import type { CliContext } from '../context.ts';
import { wireText } from '../wire.ts';
import { BenchHttp } from './bench-http.ts';
import { type BenchEngine, benchSpecs, benchSubmission } from './bench-job.ts';
import { type LoadOptions, runLoad } from './load.ts';
import { type BenchReport, progressOf } from './report.ts';

const EXPLAIN_PATH = '/api/v1/compute/bid/explain';

export interface BidBenchModules {
  readonly context: CliContext;
  readonly client: ApiClient;
}

/**
 * Bids as a requester gets them: AskForBid over libp2p from a peer that is made for this, each offer turned down at
 * once. Nothing is left at the node.
 * @throws NodeError NodeUnreachable, ConfigInvalid
 */
export async function benchBidsOfPeer(
  peer: string,
  engine: BenchEngine,
  load: LoadOptions,
  { context }: BidBenchModules,
): Promise<BenchReport> {
  const { connectBidAsker } = await import('../../node/bid-asker.ts');
  const logger = createLogger({ level: 'silent', mode: 'json', colour: false });
  const asker = await connectBidAsker(peer, { logger, signal: context.signal });
  const progress = progressOf(context);
  const next = benchSpecs(engine);
  let isForgotten = false;
  let result: Awaited<ReturnType<typeof runLoad>>;
  try {
    result = await runLoad(load, {
      operate: () => asker.ask(next()).then(outcomeOf),
      signal: context.signal,
      onProgress: (now) => progress.show(now),
    });
  } finally {
    progress.end();
    isForgotten = await asker.close();
  }
  return {
    bench: 'bid',
    title: `Bids of ${asker.nodeId} on ${engine} jobs, over libp2p`,
    ok: 'offered and turned down',
    pace: load.pace,
    load: result,
    latencies: result.latencies,
    more: [],
    notes: isForgotten
      ? []
      : ['Offers that could not be turned down end at the node by themselves within a minute.'],
  };
}

function outcomeOf(answer: BidAnswer): string {
  if (answer.type === 'BidWaiting') return 'left to an operator';
  if (answer.accepted) return 'ok';
  return `refused (${answer.rejection?.code ?? 'no code'})`;
}

/** What the policy says, over REST: every strategy is asked, nothing is reserved or stored. @throws NodeError NodeUnreachable, RequestFailed */
export async function benchExplanations(
  engine: BenchEngine,
  load: LoadOptions,
  { context, client }: BidBenchModules,
): Promise<BenchReport> {
  await client.get('/api/v1/agent/alive');
  const lanes = load.pace.kind === 'concurrency' ? load.pace.lanes : Number.POSITIVE_INFINITY;
  const http = new BenchHttp(client, { connections: lanes });
  const body = benchSubmission(engine);
  const progress = progressOf(context);
  try {
    const result = await runLoad(load, {
      operate: async () => {
        const reply = await http.send('POST', EXPLAIN_PATH, body);
        const decision = wireText(reply['Decision']);
        return decision === 'bid' ? 'ok' : `would ${decision} (${wireText(reply['Code'])})`;
      },
      signal: context.signal,
      onProgress: (now) => progress.show(now),
    });
    return {
      bench: 'bid',
      title: `The policy of ${client.baseUrl} on ${engine} jobs, explained over REST`,
      ok: 'would bid',
      pace: load.pace,
      load: result,
      latencies: result.latencies,
      more: [],
      notes: ['Bids as a requester gets them: --peer with an address of the node’s swarm.'],
    };
  } finally {
    progress.end();
    await http.close();
  }
}
