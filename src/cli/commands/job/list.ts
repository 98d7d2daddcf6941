import type { Command } from 'commander';
import { shortId } from '../../../core/ids.ts';
import { shortTime } from '../../format.ts';
import { addOutputFlags, type Column, type OutputOptions, printRows } from '../../output.ts';
import { collect } from '../../run-flags.ts';
import { JOBS_PATH } from '../../submit.ts';
import { type JobWire, readJob, wireItems, wireText } from '../../wire.ts';
import { type CommandModules, clientOf, command } from '../shared.ts';

const DEFAULT_LIMIT = '10';
/** What Bacalhau's own monitoring submits all the time is left out unless labels are asked for. */
const DEFAULT_LABELS = ['bacalhau_canary!=true'] as const;
const NAME_WIDTH = 40;

const columns: readonly Column<JobWire>[] = [
  { title: 'CREATED', value: (job, wide) => shortTime(job.createdMs, wide) },
  { title: 'ID', value: (job, wide) => (wide ? job.id : shortId(job.id)) },
  { title: 'NAME', value: (job) => job.name, max: NAME_WIDTH },
  { title: 'JOB', value: (job) => job.engine },
  { title: 'TYPE', value: (job) => job.type },
  { title: 'STATE', value: (job) => job.state },
];

interface Flags extends OutputOptions {
  readonly labels: readonly string[];
  readonly limit: string;
  readonly namespace?: string;
  readonly nextToken?: string;
  readonly orderBy?: string;
  readonly orderReversed?: boolean;
  readonly idOnly?: boolean;
}

export function jobList(modules: CommandModules): Command {
  const list = command('list', 'List jobs', [
    'bacalhau job list',
    'bacalhau job list --labels team=a --limit 50 --order-by created_at --order-reversed',
    'bacalhau job list --output csv',
  ]);
  addOutputFlags(list, 'rows')
    .option('--labels <selector>', 'only jobs whose labels match (repeatable)', collect, [])
    .option('--limit <n>', 'how many', DEFAULT_LIMIT)
    .option('--namespace <namespace>', 'only jobs of this namespace; "*" for all')
    .option('--next-token <token>', 'where the last list ended')
    .option('--order-by <field>', 'created_at or modified_at')
    .option('--order-reversed', 'turn the order round')
    .option('--id-only', 'print nothing but the ids')
    .action(async (flags: Flags) => {
      const reply = await clientOf(modules.context, list).get(JOBS_PATH, {
        labels: flags.labels.length === 0 ? DEFAULT_LABELS : flags.labels,
        limit: flags.limit,
        namespace: flags.namespace,
        next_token: flags.nextToken,
        order_by: flags.orderBy,
        reverse: flags.orderReversed,
      });
      const jobs = wireItems(reply['Items']).map(readJob);
      const { stdout } = modules.context;
      if (flags.idOnly === true) {
        for (const job of jobs) stdout.write(`${job.id}\n`);
        return;
      }
      printRows(modules.context, jobs, columns, reply['Items'] ?? [], flags);
      const token = wireText(reply['NextToken']);
      if (token !== '') {
        // Beside a document the hint would break what reads it.
        const out = flags.output === undefined || flags.output === 'table' ? stdout : modules.context.stderr;
        out.write(
          `\nTo fetch more records use:\n\tbacalhau job list --limit ${flags.limit} --next-token ${token}\n`,
        );
      }
    });
  return list;
}
