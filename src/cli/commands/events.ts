import { type Command, Option } from 'commander';
import { parseDurationMs } from '../../core/duration.ts';
import { NodeError } from '../../core/errors.ts';
import { shortId } from '../../core/ids.ts';
import { type CliContext, type Output, style } from '../context.ts';
import { type EventElement, type EventStart, eventStream } from '../event-stream.ts';
import { clockTime } from '../format.ts';
import { formatJson } from '../json.ts';
import { printable, yamlText } from '../output.ts';
import { collect } from '../run-flags.ts';
import { JOBS_PATH } from '../submit.ts';
import { readJob, type Wire, wire, wireNumber, wireText } from '../wire.ts';
import { type CommandModules, clientOf, command } from './shared.ts';

interface EventFlags {
  readonly job: readonly string[];
  readonly execution: readonly string[];
  readonly node: readonly string[];
  readonly type: readonly string[];
  readonly role: readonly string[];
  readonly since?: string;
  readonly follow: boolean;
  readonly output: 'text' | 'json' | 'yaml';
}

const COLOURS: Readonly<Record<string, 'red' | 'green' | 'yellow' | 'bold'>> = {
  Completed: 'green',
  Failed: 'red',
  Stopped: 'yellow',
  Cancelled: 'yellow',
  Queued: 'yellow',
  AskForBidRejected: 'yellow',
  BidRejected: 'yellow',
  blocked: 'yellow',
  DISCONNECTED: 'red',
  REJECTED: 'red',
  CONNECTED: 'green',
  APPROVED: 'green',
};

const SEQ = /^\d{1,16}$/;
const TIME = /^\d{4}-\d\d-\d\d/;

/** A seq, a time, or how long ago. @throws NodeError CommandInvalid */
function startOf(since: string | undefined, nowMs: number): EventStart {
  if (since === undefined) return {};
  if (SEQ.test(since)) return { from: Math.max(1, Number(since)) };
  if (TIME.test(since)) {
    const ms = Date.parse(since);
    if (!Number.isNaN(ms)) return { since: new Date(ms).toISOString() };
  }
  try {
    return { since: new Date(nowMs - parseDurationMs(since)).toISOString() };
  } catch {
    throw new NodeError(
      'CommandInvalid',
      `--since: "${since}" is no duration such as 10m, no time such as 2026-01-31T12:00:00Z, and no sequence number`,
    );
  }
}

function line(context: CliContext, event: Wire): string {
  const { stdout } = context;
  const text = (name: string): string => printable(wireText(event[name])).replaceAll(/\s+/g, ' ');
  const dim = (value: string): string => style(context, stdout, 'dim', value);
  const state = (name: string): string => {
    const colour = COLOURS[name];
    return colour === undefined ? name : style(context, stdout, colour, name);
  };
  const [from, to, type] = [text('from'), text('to'), text('type')];
  const about = text('executionID') || text('jobID') || text('nodeID');
  const change =
    from === to ? '' : `${from === '' ? '' : `${dim(from)} → `}${state(to === '' ? 'none' : to)}`;
  const reason = text('reason');
  const isError = wireText(wire(event['details'])['IsError']) === 'true';
  return [
    clockTime(Date.parse(wireText(event['time'])) || 0, true),
    dim(`#${text('seq')}`),
    dim(text('role').padEnd('requester'.length)),
    type.padEnd('evaluation'.length),
    shortId(about).padEnd('j-12345678'.length),
    ...(change === '' ? [] : [change]),
    ...(reason === '' || reason === to ? [] : [isError ? style(context, stdout, 'red', reason) : reason]),
  ].join('  ');
}

function warning(context: CliContext, stderr: Output, gap: Wire): void {
  const [from, to] = [wireNumber(gap['from']), wireNumber(gap['to'])];
  const label = style(context, stderr, 'yellow', 'Warning: ');
  stderr.write(
    `${label}events #${from} to #${to} of the ${wireText(gap['role'])} role are no longer stored, if there were any\n`,
  );
}

function printElement(context: CliContext, element: EventElement, output: EventFlags['output']): void {
  const { stdout, stderr } = context;
  if (element.kind === 'gap') warning(context, stderr, element.value);
  const document = element.kind === 'gap' ? { gap: element.value } : element.value;
  if (output === 'json') stdout.write(`${formatJson(document, false)}\n`);
  else if (output === 'yaml') stdout.write(`---\n${yamlText(document)}`);
  else if (element.kind === 'event') stdout.write(`${line(context, element.value)}\n`);
}

const list = (values: readonly string[]): string[] => values.flatMap((value) => value.split(','));

/** `events`: what happens at the node that is called, as it happens. */
export function eventsCommand(modules: CommandModules): Command {
  const events = command('events', 'Show jobs, executions and nodes change, as it happens', [
    'bacalhau events',
    'bacalhau events --since 10m --type job',
    'bacalhau events --job my-job --role compute',
    'bacalhau events --since 1 --no-follow --output json',
  ]);
  events
    .option('--job <id>', 'of this job: name, id or short id (repeatable)', collect, [])
    .option('--execution <id>', 'of this execution: id or short id (repeatable)', collect, [])
    .option('--node <id>', 'of this node: id or its last 8 characters (repeatable)', collect, [])
    .option('--type <type>', 'job, execution, evaluation or node (repeatable)', collect, [])
    .option('--role <role>', 'requester or compute (repeatable)', collect, [])
    .option('--since <when>', 'begin with events of then: how long ago, a time, or a sequence number')
    .option('--no-follow', 'end when all that has happened is shown')
    .addOption(
      new Option('--output <format>', 'output format; JSON is one object a line')
        .choices(['text', 'json', 'yaml'])
        .default('text'),
    )
    .action(async (flags: EventFlags) => {
      const { context } = modules;
      const { signal, stderr } = context;
      const client = clientOf(context, events);
      const jobs: string[] = [];
      for (const job of list(flags.job)) {
        // A name is the requester's to know.
        const isId = /^j-[0-9a-f-]+$/.test(job);
        jobs.push(
          isId ? job : readJob((await client.get(`${JOBS_PATH}/${encodeURIComponent(job)}`))['Job']).id,
        );
      }
      const { execution, node, type, role } = flags;
      const filter = {
        job: jobs,
        execution: list(execution),
        node: list(node),
        type: list(type),
        role: list(role),
      };
      const stream = eventStream(
        { filter, start: startOf(flags.since, Date.now()), follow: flags.follow },
        { client, signal, note: (text) => stderr.write(`${style(context, stderr, 'dim', text)}\n`) },
      );
      for await (const element of stream) printElement(context, element, flags.output);
      signal.throwIfAborted();
    });
  return events;
}
