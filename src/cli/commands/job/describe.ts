import type { Command } from 'commander';
import { shortId } from '../../../core/ids.ts';
import { type CliContext, style } from '../../context.ts';
import { ago, dateTime } from '../../format.ts';
import {
  addOutputFlags,
  type Column,
  type OutputOptions,
  printable,
  printDocument,
  tableText,
} from '../../output.ts';
import { JOBS_PATH } from '../../submit.ts';
import {
  type ExecutionWire,
  type HistoryWire,
  type JobWire,
  readExecution,
  readHistory,
  readJob,
  wire,
  wireItems,
} from '../../wire.ts';
import { type CommandModules, clientOf, command } from '../shared.ts';

const COMMENT_WIDTH = 50;
const EVENT_WIDTH = 90;

function header(job: JobWire): string {
  const rows: readonly (readonly [string, string])[] = [
    ['ID', job.id],
    ['Name', job.name],
    ['Namespace', job.namespace],
    ['Type', job.type],
    ['State', job.state],
    ...(job.message === '' ? [] : [['Message', job.message] as const]),
    ['Count', String(job.count)],
    ['Created Time', dateTime(job.createdMs)],
    ['Modified Time', dateTime(job.modifiedMs)],
    ['Version', String(job.version)],
  ];
  const width = 'Modified Time'.length;
  return rows.map(([name, value]) => `${name.padEnd(width)} = ${printable(value)}\n`).join('');
}

function summary(executions: readonly ExecutionWire[]): string {
  const counts = new Map<string, number>();
  for (const { state } of executions) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${state} = ${count}\n`).join('');
}

const historyColumns: readonly Column<HistoryWire>[] = [
  { title: 'TIME', value: (row) => dateTime(row.timeMs) },
  { title: 'TOPIC', value: (row) => row.topic },
  { title: 'EVENT', value: (row) => row.message, max: EVENT_WIDTH },
];

function executionColumns(nowMs: number): readonly Column<ExecutionWire>[] {
  return [
    { title: 'ID', value: (row) => shortId(row.id) },
    { title: 'NODE ID', value: (row) => shortId(row.nodeId) },
    { title: 'STATE', value: (row) => row.state },
    { title: 'DESIRED', value: (row) => row.desired },
    { title: 'REV.', value: (row) => String(row.revision) },
    { title: 'CREATED', value: (row) => ago(row.createdMs, nowMs) },
    { title: 'MODIFIED', value: (row) => ago(row.modifiedMs, nowMs) },
    { title: 'COMMENT', value: (row) => row.comment, max: COMMENT_WIDTH },
  ];
}

function runOutput(context: CliContext, executions: readonly ExecutionWire[], several: boolean): string {
  let text = '';
  for (const execution of executions) {
    const output = execution.output;
    if (output === undefined || (output.stdout === '' && output.stderr === '' && output.exitCode === 0))
      continue;
    const title = several ? `Execution ${shortId(execution.id)} Standard Output` : 'Standard Output';
    text += `${style(context, context.stdout, 'bold', `\n${title}\n`)}${output.stdout}`;
    if (output.stderr !== '') text += `\n${output.stderr}`;
    if (!text.endsWith('\n')) text += '\n';
    if (output.truncated) text += '(cut: the whole output is in the results)\n';
    if (output.exitCode !== 0) text += `\nExit code: ${output.exitCode}\n`;
    if (output.error !== '') text += `Error: ${printable(output.error)}\n`;
  }
  return text;
}

function page(context: CliContext, reply: Readonly<Record<string, unknown>>): string {
  const executions = wireItems(wire(reply['Executions'])['Items']).map(readExecution);
  const history = wireItems(wire(reply['History'])['Items']).map(readHistory);
  const title = (text: string): string => style(context, context.stdout, 'bold', `\n${text}\n`);
  let text = header(readJob(reply['Job']));
  text += title('Summary') + summary(executions);
  const ofJob = history.filter((row) => row.executionId === '');
  if (ofJob.length > 0) text += title('Job History') + tableText(ofJob, historyColumns);
  if (executions.length > 0)
    text += title('Executions') + tableText(executions, executionColumns(Date.now()));
  for (const execution of executions) {
    const own = history.filter((row) => row.executionId === execution.id);
    if (own.length > 0)
      text += title(`Execution ${shortId(execution.id)} History`) + tableText(own, historyColumns);
  }
  return text + runOutput(context, executions, executions.length > 1);
}

export function jobDescribe(modules: CommandModules): Command {
  const describe = command('describe', 'Show a job: its state, history, executions and output', [
    'bacalhau job describe j-0e180cf2',
    'bacalhau job describe my-job --output yaml',
  ]);
  addOutputFlags(describe, 'document')
    .argument('<id>', 'name, id, or the beginning of an id')
    .option('--namespace <namespace>', 'namespace of the job')
    .option('--version <n>', 'version of the job')
    .action(async (id: string, flags: OutputOptions & { namespace?: string; version?: string }) => {
      const reply = await clientOf(modules.context, describe).get(`${JOBS_PATH}/${encodeURIComponent(id)}`, {
        include: 'executions,history',
        job_version: flags.version,
        namespace: flags.namespace,
      });
      if (flags.output === undefined) modules.context.stdout.write(page(modules.context, reply));
      else printDocument(modules.context, reply, flags);
    });
  return describe;
}
