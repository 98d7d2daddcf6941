import { setTimeout as delay } from 'node:timers/promises';
import { NodeError } from '../core/errors.ts';
import { shortId } from '../core/ids.ts';
import { isJobTerminal, type JobState, jobTransitions } from '../core/states.ts';
import type { ApiClient } from './client.ts';
import { type CliContext, ExitStatus, style } from './context.ts';
import { clockTime } from './format.ts';
import { type Column, printable, tableText } from './output.ts';
import { seconds, type WaitFlags } from './run-flags.ts';
import { Spinner } from './spinner.ts';
import {
  type HistoryWire,
  type JobWire,
  readExecution,
  readHistory,
  readJob,
  wireItems,
  wireText,
} from './wire.ts';

/** Exit code of a job that did not succeed, and of every error. */
export const EXIT_FAILED = 1;

const FIRST_POLL_MS = 50;
const POLL_MS = 500;
const PAGE = 10;
/** Jobs of these types go on until they are stopped: nobody waits for their end. */
const LONG_RUNNING: ReadonlySet<string> = new Set(['service', 'daemon']);

/** What the waiting needs. */
export interface ProgressModules {
  readonly context: CliContext;
  readonly client: ApiClient;
}

/** The job that is waited for. */
export interface WatchedJob {
  readonly id: string;
  /** Set after a rerun: only this version's history is shown. */
  readonly version?: number;
}

const EVENT_WIDTH = 90;

function eventColumns(modules: ProgressModules): readonly Column<HistoryWire>[] {
  const { context } = modules;
  const label = (row: HistoryWire): string => {
    const error = row.isError ? style(context, context.stdout, 'red', 'Error: ') : '';
    const hint =
      row.hint === '' ? '' : `\n${style(context, context.stdout, 'green', 'Hint: ')}${printable(row.hint)}`;
    return `${error}${printable(row.message)}${hint}`;
  };
  return [
    { title: 'TIME', value: (row) => clockTime(row.timeMs, true), width: 12 },
    {
      title: 'EXEC. ID',
      value: (row) => (row.executionId === '' ? '' : shortId(row.executionId)),
      width: 10,
    },
    { title: 'TOPIC', value: (row) => row.topic, width: 15 },
    { title: 'EVENT', value: label, max: EVENT_WIDTH, styled: true },
  ];
}

/** Prints events one by one: the first of the job, then those of executions, and the job's own errors. */
class EventPrinter {
  readonly #modules: ProgressModules;
  #first = true;
  #executionFailed = false;

  constructor(modules: ProgressModules) {
    this.#modules = modules;
  }

  print(event: HistoryWire): void {
    const ofExecution = event.level === 'ExecutionLevel';
    const shown = this.#first || ofExecution || (event.isError && !this.#executionFailed);
    if (ofExecution && event.isError) this.#executionFailed = true;
    if (!shown) return;
    const { stdout } = this.#modules.context;
    stdout.write(tableText([event], eventColumns(this.#modules), { hideHeader: !this.#first }));
    this.#first = false;
  }
}

function terminal(state: string): boolean {
  return Object.hasOwn(jobTransitions, state) && isJobTerminal(state as JobState);
}

function jobPath(id: string): string {
  return `/api/v1/orchestrator/jobs/${encodeURIComponent(id)}`;
}

/** Reads the job. */
export async function fetchJob(client: ApiClient, id: string): Promise<JobWire> {
  return readJob((await client.get(jobPath(id)))['Job']);
}

/** Follows the history to its end, or to a service's first execution. @throws NodeError RequestFailed at the deadline */
async function followHistory(
  modules: ProgressModules,
  job: WatchedJob,
  flags: WaitFlags,
  onEvent: (event: HistoryWire) => void,
): Promise<void> {
  const { client, context } = modules;
  const limit = flags.waitTimeoutSecs === undefined ? 0 : seconds('wait-timeout-secs', flags.waitTimeoutSecs);
  const deadline = limit === 0 ? Number.POSITIVE_INFINITY : Date.now() + limit * 1000;
  let nextToken = '';
  let pause = FIRST_POLL_MS;
  let longRunning: boolean | undefined;
  for (;;) {
    const page = await client.get(`${jobPath(job.id)}/history`, {
      event_type: 'all',
      job_version: job.version,
      limit: PAGE,
      next_token: nextToken,
    });
    const events = wireItems(page['Items']).map(readHistory);
    for (const event of events) onEvent(event);
    nextToken = wireText(page['NextToken']);
    if (nextToken === '') return;
    if (events.some((event) => event.level === 'ExecutionLevel')) {
      longRunning ??= LONG_RUNNING.has((await fetchJob(client, job.id)).type);
      if (longRunning) return;
    }
    if (Date.now() >= deadline) {
      throw new NodeError('RequestFailed', `the job has not ended in ${limit} s; it goes on`, {
        details: { hint: `To see how it goes, execute:\n\tbacalhau job describe ${job.id}` },
      });
    }
    if (events.length < PAGE) {
      await delay(pause, undefined, { signal: context.signal });
      pause = Math.min(POLL_MS, pause * 2);
    }
  }
}

/** Sentences about what went wrong; empty where the job and all its commands succeeded. */
async function faultsOf(modules: ProgressModules, job: JobWire): Promise<string[]> {
  if (job.state === 'Failed') return ['job failed'];
  if (job.state === 'Stopped') return ['job was stopped'];
  if (job.state !== 'Completed') return [];
  const page = await modules.client.get(`${jobPath(job.id)}/executions`).catch((thrown: unknown) => {
    // The job did complete: not knowing how its commands exited must not hide that.
    if (thrown instanceof NodeError) return {};
    throw thrown;
  });
  return wireItems((page as Record<string, unknown>)['Items'])
    .map(readExecution)
    .filter((execution) => execution.state === 'Completed' && (execution.output?.exitCode ?? 0) !== 0)
    .map(
      (execution) => `execution ${shortId(execution.id)} exited with code ${execution.output?.exitCode ?? 0}`,
    );
}

function closingHints(context: CliContext, job: JobWire): void {
  const show = (why: string, command: string): void =>
    context.stdout.write(`\n${why}, execute:\n\tbacalhau job ${command} ${job.id}\n`);
  show('To get more details about the run', 'describe');
  show('To get more details about the run executions', 'executions');
  if (job.publisher !== '') show('To download the results', 'get');
}

async function printNodeDetails(modules: ProgressModules, job: JobWire): Promise<void> {
  const page = await modules.client.get(`${jobPath(job.id)}/executions`);
  modules.context.stdout.write('\nJob Results By Node:\n');
  for (const execution of wireItems(page['Items']).map(readExecution)) {
    modules.context.stdout.write(
      `• Node ${shortId(execution.nodeId)}: ${execution.state}${execution.comment === '' ? '' : ` (${execution.comment})`}\n`,
    );
  }
}

async function finish(modules: ProgressModules, job: JobWire, flags: WaitFlags): Promise<void> {
  const faults = await faultsOf(modules, job);
  const { context } = modules;
  if (flags.idOnly !== true) closingHints(context, job);
  if (flags.nodeDetails === true && flags.idOnly !== true) await printNodeDetails(modules, job);
  printFaults(context, faults);
}

async function followLogs(modules: ProgressModules, watched: WatchedJob, flags: WaitFlags): Promise<void> {
  const { client, context } = modules;
  let job = await fetchJob(client, watched.id);
  while (job.state === 'Pending' || job.state === 'Queued') {
    await delay(POLL_MS / 2, undefined, { signal: context.signal });
    job = await fetchJob(client, watched.id);
  }
  try {
    for await (const chunk of client.logs(watched.id, { follow: true })) context.stdout.write(chunk.text);
  } catch (thrown) {
    // A job that failed before it ran has no log; why it failed is in its history.
    if ((await fetchJob(client, watched.id)).state !== 'Failed') throw thrown;
  }
  job = await fetchJob(client, watched.id);
  // The log of one execution has ended; the job may have others, or be about to say how it ended.
  while (!terminal(job.state) && !LONG_RUNNING.has(job.type)) {
    await delay(POLL_MS / 2, undefined, { signal: context.signal });
    job = await fetchJob(client, watched.id);
  }
  if (job.state === 'Failed') {
    const printer = new EventPrinter(modules);
    await followHistory(modules, watched, flags, (event) => {
      if (event.isError) printer.print(event);
    });
  }
  printFaults(context, await faultsOf(modules, job));
}

/** @throws ExitStatus when there is one */
function printFaults(context: CliContext, faults: readonly string[]): void {
  for (const fault of faults) {
    context.stderr.write(`${style(context, context.stderr, 'red', 'Error: ')}${fault}\n`);
  }
  if (faults.length > 0) throw new ExitStatus(EXIT_FAILED);
}

/**
 * Shows a submitted job until it has ended, as the flags want it.
 * @throws ExitStatus when the job, or a command of it, failed
 */
export async function showProgress(
  modules: ProgressModules,
  job: WatchedJob,
  flags: WaitFlags,
): Promise<void> {
  const { context } = modules;
  if (!flags.wait) {
    context.stdout.write(`${job.id}\n`);
    return;
  }
  if (flags.follow === true) {
    context.stdout.write(`Job successfully submitted. Job ID: ${job.id}\n`);
    context.stdout.write(
      'Waiting for logs... (Enter Ctrl+C to exit at any time, your job will continue running):\n\n',
    );
    await followLogs(modules, job, flags);
    return;
  }
  if (flags.idOnly === true) {
    context.stdout.write(`${job.id}\n`);
    await followHistory(modules, job, flags, () => undefined);
    await finish(modules, await fetchJob(modules.client, job.id), flags);
    return;
  }
  context.stdout.write(`Job successfully submitted. Job ID: ${job.id}\n`);
  context.stdout.write(
    'Checking job status... (Enter Ctrl+C to exit at any time, your job will continue running):\n\n',
  );
  const spinner = new Spinner(context);
  const printer = new EventPrinter(modules);
  try {
    spinner.show('Processing');
    await followHistory(modules, job, flags, (event) => {
      spinner.hide();
      printer.print(event);
      spinner.show('Processing');
    });
  } finally {
    spinner.hide();
  }
  await finish(modules, await fetchJob(modules.client, job.id), flags);
}
