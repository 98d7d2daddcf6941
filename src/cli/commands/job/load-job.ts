import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { NodeError } from '../../../core/errors.ts';
import { limits } from '../../../core/limits.ts';
import { NO_RESOURCES } from '../../../core/resources.ts';
import type { CliContext } from '../../context.ts';
import { fillTemplate, type JobFile, readJobFile } from '../../job-file.ts';
import { collect, pairs } from '../../run-flags.ts';

/** How a job file is filled in. */
export interface TemplateFlags {
  readonly templateVars: readonly string[];
  readonly templateEnvs?: string;
  readonly template: boolean;
}

/** Flags of commands that read a job file. */
export function addTemplateFlags(of: Command): Command {
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

/** @throws NodeError CommandInvalid */
export async function loadJob(context: CliContext, file: string, flags: TemplateFlags): Promise<JobFile> {
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
  ingest.handle(submission);
}

/** Checks as the node would. @throws NodeError ValidationFailed, MalformedBody */
export async function checkWithWords(job: JobFile): Promise<void> {
  try {
    await checkJob(job);
  } catch (thrown) {
    if (!(thrown instanceof NodeError)) throw thrown;
    throw new NodeError(thrown.code, `the job provided is invalid: ${thrown.message}`, { cause: thrown });
  }
}
