import { type Command, Option } from 'commander';
import { printDocument } from '../output.ts';
import { addSpecFlags, jobOfFlags, type SpecFlags } from '../run-flags.ts';
import { JOBS_PATH, submissionBody, submitAndShow } from '../submit.ts';
import { type CommandModules, clientOf, command } from './shared.ts';

interface DockerFlags extends SpecFlags {
  readonly entrypoint?: string;
  readonly workdir?: string;
}

/** Words behind the image: a leading "--" only separates. */
export function withoutSeparator(words: readonly string[]): string[] {
  return words[0] === '--' ? words.slice(1) : [...words];
}

function dockerRun(modules: CommandModules): Command {
  const run = command('run', 'Run a job in a Docker container', [
    'bacalhau docker run ubuntu:latest -- echo hello',
    'bacalhau docker run -i ipfs://CID:/data -o outputs:/outputs ubuntu:latest -- sh -c "wc -l /data/* > /outputs/lines"',
    'bacalhau docker run --follow --cpu 2 --memory 1Gb ubuntu:latest -- sh -c "echo working; sleep 5; echo done"',
  ]);
  addSpecFlags(run)
    .addOption(new Option('--entrypoint <command>', 'replaces the entrypoint of the image'))
    .option('-w, --workdir <path>', 'working directory in the container')
    .argument('<image>', 'image, with its registry and tag where needed')
    .argument('[command...]', 'command and its arguments')
    .passThroughOptions()
    .action(async (image: string, words: string[], flags: DockerFlags) => {
      const parameters = withoutSeparator(words);
      const job = jobOfFlags(
        {
          Type: 'docker',
          Params: {
            Entrypoint: flags.entrypoint === undefined ? null : flags.entrypoint.split(/\s+/),
            EnvironmentVariables: null,
            Image: image,
            Parameters: parameters.length === 0 ? null : parameters,
            WorkingDirectory: flags.workdir ?? '',
          },
        },
        flags,
      );
      if (flags.dryRun === true) {
        printDocument(modules.context, job, {});
        return;
      }
      const client = clientOf(modules.context, run);
      await submitAndShow({ context: modules.context, client }, flags, () =>
        client.put(JOBS_PATH, submissionBody(job, { force: flags.force === true })),
      );
    });
  return run;
}

export function dockerCommand(modules: CommandModules): Command {
  return command('docker', 'Run Docker jobs', []).enablePositionalOptions().addCommand(dockerRun(modules));
}
