import type { Command } from 'commander';
import { NodeError } from '../../../core/errors.ts';
import { isJobTerminal, type JobState, jobTransitions } from '../../../core/states.ts';
import type { CliContext } from '../../context.ts';
import { Spinner } from '../../spinner.ts';
import { JOBS_PATH } from '../../submit.ts';
import { readJob, wireText } from '../../wire.ts';
import { type CommandModules, clientOf, command } from '../shared.ts';

export function jobLogs(modules: CommandModules): Command {
  const logs = command('logs', 'Print the output of a job', [
    'bacalhau job logs j-0e180cf2',
    'bacalhau job logs --follow my-job',
  ]);
  logs
    .argument('<id>', 'name, id, or the beginning of an id')
    .option('-f, --follow', 'go on until the job has ended')
    .option('-t, --tail', 'only what is printed from now on')
    .option('-e, --execution-id <id>', 'output of this execution')
    .option('-v, --version <n>', 'version of the job')
    .action(
      async (
        id: string,
        flags: { follow?: boolean; tail?: boolean; executionId?: string; version?: string },
      ) => {
        const chunks = clientOf(modules.context, logs).logs(id, {
          ...(flags.follow === true ? { follow: true } : {}),
          ...(flags.tail === true ? { tail: true } : {}),
          ...(flags.executionId === undefined ? {} : { executionId: flags.executionId }),
          ...(flags.version === undefined ? {} : { jobVersion: Number(flags.version) }),
        });
        for await (const chunk of chunks) modules.context.stdout.write(chunk.text);
      },
    );
  return logs;
}

const STEP_WIDTH = 21;

/** Prints one line a step: its name, how it ended and how long it took. */
class Steps {
  readonly #context: CliContext;
  readonly #spinner: Spinner;

  constructor(context: CliContext) {
    this.#context = context;
    this.#spinner = new Spinner(context);
  }

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const startedAtMs = Date.now();
    const end = (text: string): void => {
      this.#spinner.hide();
      const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
      this.#context.stdout.write(`\t${name.padStart(STEP_WIDTH)}  ................  ${text}  ${seconds}s\n`);
    };
    this.#spinner.show(name);
    try {
      const result = await work();
      end('done ✅');
      return result;
    } catch (thrown) {
      end('err  ❌');
      throw thrown;
    }
  }
}

export function jobStop(modules: CommandModules): Command {
  const stop = command('stop', 'Stop a job', [
    'bacalhau job stop j-0e180cf2',
    'bacalhau job stop --quiet my-job',
  ]);
  stop
    .argument('<id>', 'name, id, or the beginning of an id')
    .option('--namespace <namespace>', 'namespace of the job')
    .option('--quiet', 'print nothing')
    .action(async (id: string, flags: { namespace?: string; quiet?: boolean }) => {
      const { context } = modules;
      const client = clientOf(context, stop);
      const quiet = flags.quiet === true;
      const silent: CliContext = { ...context, stdout: { isTTY: false, write: () => undefined } };
      const steps = new Steps(quiet ? silent : context);
      const path = `${JOBS_PATH}/${encodeURIComponent(id)}`;
      if (!quiet) context.stdout.write('Checking job status\n\n');
      await steps.run('Connecting to network', () => Promise.resolve());
      const job = await steps.run('Verifying job state', async () => {
        const read = readJob((await client.get(path, { namespace: flags.namespace }))['Job']);
        if (Object.hasOwn(jobTransitions, read.state) && isJobTerminal(read.state as JobState)) {
          throw new NodeError(
            'JobStateConflict',
            `Job is already in a terminal state.\nThe current state is: ${read.state}`,
          );
        }
        return read;
      });
      const reply = await steps.run('Stopping job', () =>
        client.delete(path, {
          Namespace: flags.namespace ?? '',
          Credential: null,
          IdempotencyToken: '',
          reason: 'Stopped at user request',
        }),
      );
      const evaluation = wireText(reply['EvaluationID']);
      if (!quiet) {
        context.stdout.write(
          `\nJob stop successfully submitted with evaluation ID: ${evaluation || job.id}\n`,
        );
      }
    });
  return stop;
}
