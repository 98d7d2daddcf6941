import type { TestNode } from '../../test/support/node.ts';

/** Unmeasured, unless said otherwise. */
export const WARM_SECONDS = 3;

/** How a node is asked for bids. */
export interface Asking {
  /** Of `bacalhau bench bid`. */
  readonly pace: readonly string[];
  readonly seconds: number;
  readonly warmSeconds?: number;
}

/** What `bacalhau bench bid --output json` prints, as far as it is read here. */
export interface BidsDocument {
  readonly PerSecond: number;
  readonly Unanswered: number;
  readonly NotBegun: number;
  readonly Outcomes: Readonly<Record<string, number>>;
  readonly LatencyMs: Readonly<Record<'P50' | 'P99', number>>;
}

/** AskForBid over libp2p from a process of its own, which turns each offer down. */
export async function askForBids(
  node: TestNode,
  { pace, seconds, warmSeconds = WARM_SECONDS }: Asking,
): Promise<BidsDocument> {
  const [peer = ''] = node.swarmAddresses;
  const times = ['--warm-up', `${warmSeconds}s`, '--duration', `${seconds}s`];
  const flags = ['--engine', 'mock', ...times, '--output', 'json'];
  const { code, stdout, stderr } = await node.cli(['bench', 'bid', '--peer', peer, ...pace, ...flags]);
  if (code !== 0) throw new Error(`bench bid ended with code ${code}:\n${stderr}`);
  return JSON.parse(stdout) as BidsDocument;
}
