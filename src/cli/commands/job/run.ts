import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { NodeError } from '../../../core/errors.ts';
import { limits } from '../../../core/limits.ts';
import { NO_RESOURCES } from '../../../core/resources.ts';
import type { CliContext } from '../../context.ts';
import { fillTemplate, type JobFile, readJobFile } from '../../job-file.ts';
import { printDocument } from '../../output.ts';
import { showProgress } from '../../progress.ts';
import { addWaitFlags, collect, pairs, type WaitFlags } from '../../run-flags.ts';
import { JOBS_PATH, printWarnings, submissionBody, submitAndShow } from '../../submit.ts';
import { wireNumber, wireText } from '../../wire.ts';
import { type CommandModules, clientOf, command } from '../shared.ts';

interface TemplateFlags {
  readonly templateVars: readonly string[];
  readonly templateEnvs?: string;
  readonly template: boolean;
}

function addTemplateFlags(of: Command): Command {
  return of
    .option('-V, --template-vars <k=v>', 'value of {{.k}} in the job file (repeatable)', collect, [])
    .option('-E, --template-envs <regex>', 'environment variables that give values of {{.NAME}} too')
    .option('--no-template', 'leave {{…}} in the job file as it is');
}

async function readText(context: CliContext, file: string): Promise<string> {
  if (file === '-') return context.readStdin();
  try {
    return await readFile(resolve(context.cwd, file), 'utf8');
  } catch (cause) {
    throw new NodeError(
      'CommandInvalid',
      `cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    );
  }
}

function matching(context: CliContext, pattern: string | undefined): Record<string, string> {
  if (pattern === undefined) return {};
  let regex: RegExp;
  try {
    regex = new RegExp(pattern);
  } catch (cause) {
    throw new NodeError('CommandInvalid', `--template-envs "${pattern}": not a regular expression`, {
      cause,
    });
  }
  const found = Object.entries(context.env).filter(
    ([name, value]) => value !== undefined && regex.test(name),
  );
  return Object.fromEntries(found.map(([name, value]) => [name, value ?? '']));
}

async function loadJob(context: CliContext, file: string, flags: TemplateFlags): Promise<JobFile> {
  const text = await readText(context, file);
  const name = file === '-' ? 'standard input' : basename(file);
  const wanted = flags.templateVars.length > 0 || flags.templateEnvs !== undefined;
  if (!flags.template || !wanted) return readJobFile(text, name);
  const variables = {
    ...matching(context, flags.templateEnvs),
    ...pairs('template-vars', flags.templateVars),
  };
  return readJobFile(fillTemplate(text, variables), name);
}

/**
 * Checks a job here, with the very code of the node: every fault at once, without one request.
 * @throws NodeError ValidationFailed, MalformedBody
 */
async function checkJob(job: JobFile): Promise<void> {
  const { Ingest } = await import('../../../workers/ingest/ingest.ts');
  const ingest = new Ingest({
    nodeId: '',
    instanceId: '',
    defaultPublisher: '',
    defaultResources: NO_RESOURCES,
    bodyBytes: limits.bodyBytes,
  });
  const [text, contentType] =
    job.kind === 'spec'
      ? [job.text, job.contentType]
      : [JSON.stringify({ Job: job.job }), 'application/json'];
  const submission = { body: Buffer.from(text), contentType, clientInstanceId: '', clientInstallationId: '' };
  ingest.handle({ kind: 'job', submission });
}

async function checkWithWords(job: JobFile): Promise<void> {
  try {
    await checkJob(job);
  } catch (thrown) {
    if (!(thrown instanceof NodeError)) throw thrown;
    throw new NodeError(thrown.code, `the job provided is invalid: ${thrown.message}`, { cause: thrown });
  }
}

export function jobRun(modules: CommandModules): Command {
  const run = command('run', 'Submit the job that a YAML or JSON file describes', [
    'bacalhau job run job.yaml',
    'bacalhau job run --follow job.yaml',
    'cat job.yaml | bacalhau job run --id-only -',
    'bacalhau job run -V name=world job.yaml',
  ]);
  addTemplateFlags(addWaitFlags(run))
    .argument('<file>', 'job file; "-" for standard input')
    .option('--force', 'submit even if the job of that name would not change')
    .action(async (file: string, flags: WaitFlags & TemplateFlags & { force?: boolean }) => {
      const { context } = modules;
      const job = await loadJob(context, file, flags);
      await checkWithWords(job);
      const client = clientOf(context, run);
      if (flags.dryRun === true) {
        if (job.kind === 'spec') context.stdout.write(job.text);
        else await dryRun(context, client, job.job);
        return;
      }
      await submitAndShow({ context, client }, flags, () =>
        job.kind === 'spec'
          ? client.putText(JOBS_PATH, job.text, job.contentType)
          : client.put(JOBS_PATH, submissionBody(job.job, { force: flags.force === true })),
      );
    });
  return run;
}

/** Shows what would change; where the node cannot say it, the job itself. */
async function dryRun(context: CliContext, client: ReturnType<typeof clientOf>, job: unknown): Promise<void> {
  try {
    const reply = await client.put(`${JOBS_PATH}/diff`, {
      Namespace: '',
      Credential: null,
      IdempotencyToken: '',
      Job: job,
    });
    printWarnings(context, reply, { wait: false });
    context.stdout.write(`${wireText(reply['Diff']).trimEnd() || 'No changes detected'}\n`);
  } catch (thrown) {
    if (!(thrown instanceof NodeError)) throw thrown;
    context.stderr.write(`Warning: no comparison with the node's jobs: ${thrown.message}\n`);
    printDocument(context, job, {});
  }
}

export function jobValidate(modules: CommandModules): Command {
  return addTemplateFlags(
    command('validate', 'Check a job file without submitting it', ['bacalhau job validate job.yaml']),
  )
    .argument('<file>', 'job file; "-" for standard input')
    .action(async (file: string, flags: TemplateFlags) => {
      await checkWithWords(await loadJob(modules.context, file, flags));
      modules.context.stdout.write('OK\n');
    });
}

export function jobRerun(modules: CommandModules): Command {
  const rerun = command('rerun', 'Run a job again, as a new version of it', [
    'bacalhau job rerun my-job',
    'bacalhau job rerun my-job --version 2',
  ]);
  addWaitFlags(rerun)
    .argument('<id>', 'name, id, or the beginning of an id')
    .option('--namespace <namespace>', 'namespace of the job', '')
    .option('--version <n>', 'version to run again', '0')
    .option('--reason <text>', 'why, for the history of the job', '')
    .action(async (id: string, flags: WaitFlags & { namespace: string; version: string; reason: string }) => {
      const { context } = modules;
      if (!/^\d{1,9}$/.test(flags.version)) {
        throw new NodeError('CommandInvalid', `--version "${flags.version}": expected a whole number`);
      }
      const client = clientOf(context, rerun);
      const reply = await client.put(`${JOBS_PATH}/${encodeURIComponent(id)}/rerun`, {
        Namespace: flags.namespace,
        Credential: null,
        IdempotencyToken: '',
        JobVersion: Number(flags.version),
        Reason: flags.reason,
      });
      printWarnings(context, reply, flags);
      const job = { id: wireText(reply['JobID']) || id, version: wireNumber(reply['JobVersion']) };
      await showProgress({ context, client }, job, flags);
    });
  return rerun;
}
