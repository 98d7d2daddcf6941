import type { Command } from 'commander';
import { addOutputFlags, type Column, type OutputOptions, printRows } from '../output.ts';
import { submissionBody } from '../submit.ts';
import { type Wire, wireItems, wireNumber, wireText } from '../wire.ts';
import { addTemplateFlags, checkWithWords, loadJob, type TemplateFlags } from './job/load-job.ts';
import { type CommandModules, clientOf, command } from './shared.ts';

export const BIDS_PATH = '/api/v1/compute/bids';
const EXPLAIN_PATH = '/api/v1/compute/bid/explain';

const columns: readonly Column<Wire>[] = [
  { title: 'STRATEGY', value: (row) => wireText(row['Strategy']) },
  { title: 'VERDICT', value: (row) => wireText(row['Verdict']) },
  {
    title: 'TIME',
    value: (row) =>
      wireText(row['Verdict']) === 'not asked' ? '' : `${wireNumber(row['Milliseconds']).toFixed(1)} ms`,
  },
  { title: 'REASON', value: (row) => wireText(row['Reason']), max: 80 },
];

/** One sentence of what the whole policy says. */
function summary(reply: Wire): string {
  const reason = wireText(reply['Reason']);
  switch (wireText(reply['Decision'])) {
    case 'bid':
      return 'The node would bid on the job.';
    case 'wait':
      return `The node would wait for an operator's approval${reason === '' ? '' : `: ${reason}`}`;
    default: {
      const when = reply['Final'] === true ? 'refuse the job' : 'put the job off';
      return `The node would ${when} (${wireText(reply['Code'])}): ${reason}`;
    }
  }
}

function explain(modules: CommandModules): Command {
  const explain = command(
    'explain',
    'Show what the job selection policy of the node that is called says of a job, without running the job',
    ['bacalhau bid explain job.yaml', 'bacalhau bid explain --output json --pretty job.yaml'],
  );
  addTemplateFlags(addOutputFlags(explain, 'rows'))
    .argument('<file>', 'job file; "-" for standard input')
    .action(async (file: string, flags: OutputOptions & TemplateFlags) => {
      const { context } = modules;
      const job = await loadJob(context, file, flags);
      await checkWithWords(job);
      const client = clientOf(context, explain);
      const reply =
        job.kind === 'spec'
          ? await client.postText(EXPLAIN_PATH, job.text, job.contentType)
          : await client.post(EXPLAIN_PATH, submissionBody(job.job, { force: false }));
      printRows(context, wireItems(reply['Strategies']), columns, reply, flags);
      if (flags.output === undefined || flags.output === 'table')
        context.stdout.write(`\n${summary(reply)}\n`);
    });
  return explain;
}

function decide(modules: CommandModules, action: 'approve' | 'reject', description: string): Command {
  const decide = command(action, description, [
    `bacalhau node bids`,
    `bacalhau bid ${action} <execution or job id>`,
  ]);
  decide
    .argument('<id>', 'id of the execution or of the job, or its beginning')
    .option('--reason <text>', 'why, for the history of the job', '')
    .action(async (id: string, flags: { readonly reason: string }) => {
      const { context } = modules;
      const reply = await clientOf(context, decide).post(`${BIDS_PATH}/${encodeURIComponent(id)}`, {
        Action: action,
        Reason: flags.reason,
      });
      const bids = wireItems(reply['Bids']);
      for (const bid of bids) {
        context.stdout.write(`${wireText(bid['ExecutionID'])}: ${wireText(bid['Outcome'])}\n`);
      }
      if (bids.length === 0) context.stdout.write('Nothing of it waits: it was decided before.\n');
    });
  return decide;
}

/** `bid`: what the node that is called would say of a job, and a person's word on those it left to one. */
export function bidCommand(modules: CommandModules): Command {
  return command('bid', 'Explain bids, and decide those that wait for approval', [])
    .addCommand(explain(modules))
    .addCommand(decide(modules, 'approve', 'Let the node bid on a job that waits for approval'))
    .addCommand(decide(modules, 'reject', 'Refuse a job that waits for approval'));
}
