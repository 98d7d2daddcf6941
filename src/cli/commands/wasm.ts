import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { InputSource } from '../../core/job.ts';
import { parseInput } from '../inputs.ts';
import { printDocument } from '../output.ts';
import { addSpecFlags, collect, jobOfFlags, type SpecFlags } from '../run-flags.ts';
import { JOBS_PATH, submissionBody, submitAndShow } from '../submit.ts';
import { ENTRY_MODULE, inlineModule } from '../wasm-module.ts';
import { withoutSeparator } from './docker.ts';
import { type CommandModules, clientOf, command } from './shared.ts';

interface WasmFlags extends SpecFlags {
  readonly entryPoint: string;
  readonly importModules: readonly string[];
}

/** A module as an input: a local file inline, anything with a scheme from where it is. */
async function moduleInput(cwd: string, source: string, target: string): Promise<InputSource> {
  if (/^(?:ipfs|https?|s3|data|file):/i.test(source))
    return { ...parseInput(source), Alias: '', Target: target };
  return inlineModule(resolve(cwd, source), target);
}

function wasmRun(modules: CommandModules): Command {
  const run = command('run', 'Run a WebAssembly (WASI) program', [
    'bacalhau wasm run ./prog.wasm',
    'bacalhau wasm run -i ipfs://CID:/data -o outputs:/outputs ./prog.wasm /data /outputs',
    'bacalhau wasm run --entry-point main -e LEVEL=3 ./prog.wasm -- --verbose',
  ]);
  addSpecFlags(run)
    .option('--entry-point <function>', 'exported function that is called', '_start')
    .option('--import-modules <file>', 'module that the program imports (repeatable)', collect, [])
    .argument('<file>', 'module: a local file, or a URI such as ipfs://CID')
    .argument('[parameters...]', 'arguments of the program')
    .passThroughOptions()
    .action(async (file: string, words: string[], flags: WasmFlags) => {
      const { context } = modules;
      const imports = flags.importModules.map((source, index) => ({
        source,
        target: `import-${index}.wasm`,
      }));
      const inputs = await Promise.all([
        moduleInput(context.cwd, file, ENTRY_MODULE),
        ...imports.map(({ source, target }) => moduleInput(context.cwd, source, target)),
      ]);
      const job = jobOfFlags(
        {
          Type: 'wasm',
          Params: {
            EntryModule: ENTRY_MODULE,
            Entrypoint: flags.entryPoint,
            ImportModules: imports.length === 0 ? null : imports.map(({ target }) => target),
            Parameters: withoutSeparator(words),
          },
        },
        flags,
        inputs,
      );
      if (flags.dryRun === true) {
        printDocument(context, job, {});
        return;
      }
      const client = clientOf(context, run);
      await submitAndShow({ context, client }, flags, () =>
        client.put(JOBS_PATH, submissionBody(job, { force: flags.force === true })),
      );
    });
  return run;
}

export function wasmCommand(modules: CommandModules): Command {
  return command('wasm', 'Run WebAssembly jobs', []).enablePositionalOptions().addCommand(wasmRun(modules));
}
