import type { Command } from 'commander';
import { NodeError } from '../../../core/errors.ts';
import type { CliContext } from '../../context.ts';
import { printDocument } from '../../output.ts';
import { showProgress } from '../../progress.ts';
import { addWaitFlags, type WaitFlags } from '../../run-flags.ts';
import { JOBS_PATH, printWarnings, submissionBody, submitAndShow } from '../../submit.ts';
import { wireNumber, wireText } from '../../wire.ts';
import { type CommandModules, clientOf, command } from '../shared.ts';
import { addTemplateFlags, checkWithWords, loadJob, type TemplateFlags } from './load-job.ts';

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
