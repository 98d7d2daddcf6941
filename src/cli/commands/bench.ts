import { type Command, Option } from 'commander';
import { parseDurationMs } from '../../core/duration.ts';
import { NodeError } from '../../core/errors.ts';
import { BENCH_ENGINES, type BenchEngine } from '../bench/bench-job.ts';
import type { LoadOptions } from '../bench/load.ts';
import { type BenchReport, printReport } from '../bench/report.ts';
import { type CliContext, ExitStatus } from '../context.ts';
import type { OutputOptions } from '../output.ts';
import { type CommandModules, clientOf, command } from './shared.ts';

interface BenchFlags extends OutputOptions {
  readonly rate?: string;
  readonly concurrency: string;
  readonly duration: string;
  readonly warmUp: string;
  readonly engine: BenchEngine;
}

const MOST_RATE = 1_000_000;
const MOST_LANES = 4096;
const MOST_SUBSCRIBERS = 1000;
const LONGEST_MS = 3_600_000;
const EXIT_NOTHING = 1;
const EXIT_INTERRUPTED = 130;

function addBenchFlags(to: Command): Command {
  return to
    .option('--rate <number>', 'begin so many a second, however slow the answers are')
    .addOption(
      new Option('--concurrency <number>', 'keep so many under way, as fast as they are answered')
        .default('16')
        .conflicts('rate'),
    )
    .option('--duration <time>', 'how long', '10s')
    .option('--warm-up <time>', 'how long before that, uncounted', '1s')
    .addOption(
      new Option('--engine <name>', 'engine of the jobs').choices([...BENCH_ENGINES]).default('wasm'),
    )
    .addOption(new Option('--output <format>', 'output format').choices(['table', 'json', 'yaml']))
    .option('--pretty', 'indent JSON');
}

function whole(name: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
  throw new NodeError('CommandInvalid', `--${name} ${text}: expected a whole number from 1 to ${most}`);
}

function time(name: string, text: string, least: number): number {
  const ms = parseDurationMs(text);
  if (ms >= least && ms <= LONGEST_MS) return ms;
  throw new NodeError('CommandInvalid', `--${name} ${text}: expected a time from ${least}ms to 1h`);
}

function loadOf(flags: BenchFlags): LoadOptions {
  return {
    pace:
      flags.rate === undefined
        ? { kind: 'concurrency', lanes: whole('concurrency', flags.concurrency, MOST_LANES) }
        : { kind: 'rate', perSecond: whole('rate', flags.rate, MOST_RATE) },
    durationMs: time('duration', flags.duration, 1),
    warmUpMs: time('warm-up', flags.warmUp, 0),
  };
}

/** @throws ExitStatus when it was interrupted, or nothing succeeded */
function finish(context: CliContext, report: BenchReport, flags: OutputOptions): void {
  printReport(context, report, flags);
  if (report.load.isInterrupted) throw new ExitStatus(EXIT_INTERRUPTED);
  if (!report.load.outcomes.has('ok')) throw new ExitStatus(EXIT_NOTHING);
}

function bid(modules: CommandModules): Command {
  const bid = command('bid', 'Measure how fast a node bids, without running anything', [
    'bacalhau bench bid --peer /ip4/127.0.0.1/tcp/1235/p2p/12D3KooW… --rate 1000',
    'bacalhau bench bid --concurrency 64 --duration 30s --output json',
  ]);
  addBenchFlags(bid)
    .option(
      '--peer <multiaddr>',
      'ask over libp2p, as a requester does: address of the node’s swarm; without it the policy is asked over REST',
    )
    .action(async (flags: BenchFlags & { readonly peer?: string }) => {
      const { context } = modules;
      const { benchBidsOfPeer, benchExplanations } = await import('../bench/bid-bench.ts');
      const load = loadOf(flags);
      const client = clientOf(context, bid);
      const report =
        flags.peer === undefined
          ? await benchExplanations(flags.engine, load, { context, client })
          : await benchBidsOfPeer(flags.peer, flags.engine, load, { context, client });
      finish(context, report, flags);
    });
  return bid;
}

function jobs(modules: CommandModules): Command {
  const jobs = command('jobs', 'Run small jobs on a node and measure them', [
    'bacalhau bench jobs --concurrency 64 --duration 30s',
    'bacalhau bench jobs --rate 200 --engine mock --output json',
  ]);
  addBenchFlags(jobs).action(async (flags: BenchFlags) => {
    const { context } = modules;
    const { benchJobs } = await import('../bench/jobs-bench.ts');
    const client = clientOf(context, jobs);
    finish(context, await benchJobs(flags.engine, loadOf(flags), { context, client }), flags);
  });
  return jobs;
}

function events(modules: CommandModules): Command {
  const events = command('events', 'Measure how soon the events of a node arrive, while it runs small jobs', [
    'bacalhau bench events --subscribers 20 --rate 100 --engine mock',
  ]);
  addBenchFlags(events)
    .option('--subscribers <number>', 'how many read all events', '10')
    .action(async (flags: BenchFlags & { readonly subscribers: string }) => {
      const { context } = modules;
      const { benchEvents } = await import('../bench/jobs-bench.ts');
      const options = {
        engine: flags.engine,
        subscribers: whole('subscribers', flags.subscribers, MOST_SUBSCRIBERS),
      };
      const client = clientOf(context, events);
      finish(context, await benchEvents(options, loadOf(flags), { context, client }), flags);
    });
  return events;
}

/** `bench`: the figures of `npm run bench`, of any node that runs. */
export function benchCommand(modules: CommandModules): Command {
  return command('bench', 'Measure a node that runs', [])
    .addCommand(bid(modules))
    .addCommand(jobs(modules))
    .addCommand(events(modules));
}
