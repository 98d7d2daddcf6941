import { mkdir, rmdir, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { NodeError } from '../../../core/errors.ts';
import type { ResultSource } from '../../download.ts';
import { formatJson } from '../../json.ts';
import { seconds } from '../../run-flags.ts';
import { JOBS_PATH } from '../../submit.ts';
import { type Wire, wireItems } from '../../wire.ts';
import { type CommandModules, clientOf, command } from '../shared.ts';

interface Flags {
  readonly namespace?: string;
  readonly outputDir?: string;
  readonly raw?: boolean;
  readonly downloadTimeoutSecs: string;
}

/** "ID/path/in/results" in its two halves. */
function splitTarget(text: string): { id: string; path: string } {
  const at = text.indexOf('/');
  return at === -1 ? { id: text, path: '' } : { id: text.slice(0, at), path: text.slice(at + 1) };
}

async function folder(cwd: string, id: string, flags: Flags): Promise<{ path: string; made: boolean }> {
  if (flags.outputDir !== undefined) {
    const path = resolve(cwd, flags.outputDir);
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory() !== true) {
      throw new NodeError('CommandInvalid', `--output-dir ${flags.outputDir}: no such directory`);
    }
    return { path, made: false };
  }
  const space = flags.namespace === undefined || flags.namespace === 'default' ? '' : `${flags.namespace}-`;
  const path = join(cwd, `job-${space}${id}`);
  try {
    await mkdir(path);
  } catch (cause) {
    throw new NodeError(
      'DownloadFailed',
      `cannot make ${path}: ${cause instanceof Error ? cause.message : String(cause)}; choose another place with --output-dir`,
      { cause },
    );
  }
  return { path, made: true };
}

export function jobGet(modules: CommandModules): Command {
  const get = command('get', 'Download the results of a job', [
    'bacalhau job get j-0e180cf2',
    'bacalhau job get my-job/outputs/answer.txt',
    'bacalhau job get my-job --output-dir ./results',
  ]);
  get
    .argument('<id[/path]>', 'name, id, or the beginning of an id; with a path, only that file or folder')
    .option('--namespace <namespace>', 'namespace of the job')
    .option('--output-dir <directory>', 'existing folder for the results; without it ./job-<id> is made')
    .option('--raw', 'keep the archives as they are')
    .option('--download-timeout-secs <seconds>', 'time for everything', '300')
    .action(async (target: string, flags: Flags) => {
      const { context } = modules;
      const { id, path } = splitTarget(target);
      if (!/^[^/\\]+$/.test(id) || id === '.' || id === '..') {
        throw new NodeError('CommandInvalid', `"${target}": expected a job's id or name`);
      }
      const client = clientOf(context, get);
      context.stderr.write(`Fetching results of job '${id}'...\n`);
      const reply = await client.get(`${JOBS_PATH}/${encodeURIComponent(id)}/results`, {
        namespace: flags.namespace,
      });
      const results = wireItems(reply['Items']);
      if (results.length === 0) {
        context.stdout.write('No results found\n');
        return;
      }
      // Loaded here: no other command needs archives.
      const { downloadResults, resultSource } = await import('../../download.ts');
      const sources = results.map((result) => resultSource(result) ?? unknown(result));
      const into = await folder(context.cwd, id, flags);
      const limit = seconds('download-timeout-secs', flags.downloadTimeoutSecs);
      const timeout = AbortSignal.timeout(limit * 1000);
      const options = {
        directory: into.path,
        path,
        raw: flags.raw === true,
        signal: AbortSignal.any([timeout, context.signal]),
      };
      try {
        const found = await downloadResults(sources, { context, client }, options);
        if (found === 0 && path !== '') {
          throw new NodeError('DownloadFailed', `the results of job ${id} hold no "${path}"`);
        }
      } catch (thrown) {
        // An empty folder would be in the way of the next try.
        if (into.made) await rmdir(into.path).catch(() => undefined);
        if (timeout.aborted) {
          throw new NodeError('DownloadFailed', `not downloaded in ${limit} s (--download-timeout-secs)`, {
            cause: thrown,
          });
        }
        throw thrown;
      }
      const shown = relative(context.cwd, into.path);
      context.stdout.write(
        `Results for job '${id}' have been written to...\n${shown.startsWith('..') ? into.path : `./${shown}`}\n`,
      );
    });
  return get;
}

function unknown(result: Wire): ResultSource {
  throw new NodeError(
    'DownloadFailed',
    `this program cannot download such results: ${formatJson(result, false)} (it knows urlDownload, s3PreSigned and ipfs)`,
  );
}
