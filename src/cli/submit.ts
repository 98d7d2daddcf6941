import { NodeError } from '../core/errors.ts';
import type { ApiClient } from './client.ts';
import { type CliContext, style } from './context.ts';
import { showProgress } from './progress.ts';
import type { WaitFlags } from './run-flags.ts';
import { type Wire, wireText } from './wire.ts';

/** Where jobs are put. */
export const JOBS_PATH = '/api/v1/orchestrator/jobs';

/** Warnings of a reply, one a line, on stderr: what a script reads stays the job id. */
export function printWarnings(context: CliContext, reply: Wire, flags: WaitFlags): void {
  const warnings = reply['Warnings'];
  if (!Array.isArray(warnings) || flags.hideWarnings === true || flags.idOnly === true) return;
  for (const warning of warnings) {
    context.stderr.write(`${style(context, context.stderr, 'yellow', 'Warning: ')}${wireText(warning)}\n`);
  }
}

/** Submits with `send`, then shows the job as the flags want it. @throws NodeError RequestFailed, ExitStatus */
export async function submitAndShow(
  modules: { readonly context: CliContext; readonly client: ApiClient },
  flags: WaitFlags,
  send: () => Promise<Wire>,
): Promise<void> {
  const reply = await send();
  const id = wireText(reply['JobID']);
  if (id === '') throw new NodeError('RequestFailed', 'the node accepted the job but did not say its id');
  printWarnings(modules.context, reply, flags);
  await showProgress(modules, { id }, flags);
}

/** Body of a submission. */
export function submissionBody(job: unknown, options: { readonly force: boolean }): Record<string, unknown> {
  return { Namespace: '', Credential: null, IdempotencyToken: '', Job: job, Force: options.force };
}
