import { type Command, Option } from 'commander';
import { shortId } from '../../../core/ids.ts';
import { dateTime, shortTime } from '../../format.ts';
import { addOutputFlags, type Column, type OutputOptions, printRows } from '../../output.ts';
import { JOBS_PATH } from '../../submit.ts';
import {
  type ExecutionWire,
  type HistoryWire,
  type JobWire,
  readExecution,
  readHistory,
  readJob,
  type Wire,
  wireItems,
  wireText,
} from '../../wire.ts';
import { type CommandModules, clientOf, command } from '../shared.ts';

const EVENT_WIDTH = 90;

interface DetailFlags extends OutputOptions {
  readonly namespace?: string;
  readonly version?: string;
  readonly allVersions?: boolean;
}

function addJobFlags(of: Command): Command {
  return of
    .argument('<id>', 'name, id, or the beginning of an id')
    .option('--namespace <namespace>', 'namespace of the job')
    .option('--version <n>', 'version of the job')
    .option('--all-versions', 'all versions of the job');
}

function path(id: string, what: string): string {
  return `${JOBS_PATH}/${encodeURIComponent(id)}/${what}`;
}

const executionColumns: readonly Column<ExecutionWire>[] = [
  { title: 'CREATED', value: (row, wide) => shortTime(row.createdMs, wide) },
  { title: 'MODIFIED', value: (row, wide) => shortTime(row.modifiedMs, wide) },
  { title: 'ID', value: (row, wide) => (wide ? row.id : shortId(row.id)) },
  { title: 'JOB VERSION', value: (row) => String(row.jobVersion) },
  { title: 'NODE ID', value: (row, wide) => (wide ? row.nodeId : shortId(row.nodeId)) },
  { title: 'REV.', value: (row) => String(row.revision) },
  { title: 'STATE', value: (row) => row.state },
  { title: 'DESIRED', value: (row) => row.desired },
];

export function jobExecutions(modules: CommandModules): Command {
  const executions = command('executions', 'List the executions of a job', [
    'bacalhau job executions j-0e180cf2',
    'bacalhau job executions my-job --all-versions --output json',
  ]);
  addJobFlags(addOutputFlags(executions, 'rows'))
    .option('--limit <n>', 'how many', '20')
    .option('--next-token <token>', 'where the last list ended')
    .option('--order-by <field>', 'created_at or modified_at')
    .option('--order-reversed', 'turn the order round')
    .action(
      async (
        id: string,
        flags: DetailFlags & { limit: string; nextToken?: string; orderBy?: string; orderReversed?: boolean },
      ) => {
        const reply = await clientOf(modules.context, executions).get(path(id, 'executions'), {
          all_job_versions: flags.allVersions,
          job_version: flags.version,
          limit: flags.limit,
          namespace: flags.namespace,
          next_token: flags.nextToken,
          order_by: flags.orderBy,
          reverse: flags.orderReversed,
        });
        const rows = wireItems(reply['Items']).map(readExecution);
        printRows(modules.context, rows, executionColumns, reply['Items'] ?? [], flags);
      },
    );
  return executions;
}

const historyColumns: readonly Column<HistoryWire>[] = [
  { title: 'TIME', value: (row) => dateTime(row.timeMs) },
  { title: 'LEVEL', value: (row) => row.level },
  { title: 'JOB VERSION', value: (row) => String(row.jobVersion) },
  {
    title: 'EXEC. ID',
    value: (row, wide) => (wide ? row.executionId : row.executionId && shortId(row.executionId)),
  },
  { title: 'TOPIC', value: (row) => row.topic },
  { title: 'EVENT', value: (row) => row.message, max: EVENT_WIDTH },
];

export function jobHistory(modules: CommandModules): Command {
  const history = command('history', 'List what happened to a job', [
    'bacalhau job history j-0e180cf2',
    'bacalhau job history my-job --event-type execution --output json',
  ]);
  addJobFlags(addOutputFlags(history, 'rows'))
    .addOption(
      new Option('--event-type <type>', 'which events').choices(['all', 'job', 'execution']).default('all'),
    )
    .option('--execution-id <id>', 'only events of this execution')
    .option('--limit <n>', 'how many')
    .option('--next-token <token>', 'where the last list ended')
    .action(
      async (
        id: string,
        flags: DetailFlags & { eventType: string; executionId?: string; limit?: string; nextToken?: string },
      ) => {
        const client = clientOf(modules.context, history);
        const items: Wire[] = [];
        let token = flags.nextToken ?? '';
        do {
          const reply = await client.get(path(id, 'history'), {
            all_job_versions: flags.allVersions,
            event_type: flags.eventType,
            execution_id: flags.executionId,
            job_version: flags.version,
            limit: flags.limit,
            namespace: flags.namespace,
            next_token: token,
          });
          const page = wireItems(reply['Items']);
          items.push(...page);
          // While the job lives there is always a token; a page with nothing on it is the end for now.
          token = page.length === 0 || flags.limit !== undefined ? '' : wireText(reply['NextToken']);
        } while (token !== '');
        printRows(modules.context, items.map(readHistory), historyColumns, items, flags);
      },
    );
  return history;
}

const versionColumns: readonly Column<JobWire>[] = [
  { title: 'CREATED', value: (job, wide) => shortTime(job.createdMs, wide) },
  { title: 'MODIFIED', value: (job, wide) => shortTime(job.modifiedMs, wide) },
  { title: 'VERSION', value: (job) => String(job.version) },
  { title: 'ID', value: (job, wide) => (wide ? job.id : shortId(job.id)) },
  { title: 'NAME', value: (job) => job.name, max: 40 },
  { title: 'STATE', value: (job) => job.state },
];

export function jobVersions(modules: CommandModules): Command {
  const versions = command('versions', 'List the versions of a job', ['bacalhau job versions my-job']);
  addOutputFlags(versions, 'rows')
    .argument('<id>', 'name, id, or the beginning of an id')
    .option('--namespace <namespace>', 'namespace of the job')
    .action(async (id: string, flags: OutputOptions & { namespace?: string }) => {
      const reply = await clientOf(modules.context, versions).get(path(id, 'versions'), {
        namespace: flags.namespace,
      });
      const rows = wireItems(reply['Items']).map(readJob);
      printRows(modules.context, rows, versionColumns, reply['Items'] ?? [], flags);
    });
  return versions;
}
