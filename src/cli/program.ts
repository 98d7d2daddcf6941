import { type Command, CommanderError, Help, type Option } from 'commander';
import { errorRegistry, NodeError } from '../core/errors.ts';
import { packageVersion } from '../version.ts';
import { arrange } from './arrange.ts';
import { agentCommand } from './commands/agent.ts';
import { benchCommand } from './commands/bench.ts';
import { bidCommand } from './commands/bid.ts';
import { configCommand } from './commands/config.ts';
import { devstackCommand } from './commands/devstack.ts';
import { dockerCommand } from './commands/docker.ts';
import { eventsCommand } from './commands/events.ts';
import { jobCommand } from './commands/job/job.ts';
import { nodeCommand } from './commands/node.ts';
import { serveCommand } from './commands/serve.ts';
import { command } from './commands/shared.ts';
import { versionCommand } from './commands/version.ts';
import { wasmCommand } from './commands/wasm.ts';
import { type CliContext, ExitStatus, hasColour, style } from './context.ts';

/** Exit code of every error, and of a job that did not succeed. */
const EXIT_ERROR = 1;
/** Exit code after Ctrl+C. */
const EXIT_INTERRUPTED = 130;

const CLIENT_FLAGS: readonly (readonly [flags: string, text: string])[] = [
  ['--api-host <host>', 'node to call: a host or a URL (env BACALHAU_API_HOST)'],
  ['--api-port <port>', 'port of the node (env BACALHAU_API_PORT)'],
  ['--tls', 'call the node by https (env BACALHAU_API_TLS)'],
  ['--cacert <file>', 'by https, trusting this PEM certificate too (env BACALHAU_API_CACERT)'],
  ['--insecure', 'by https, whatever its certificate is (env BACALHAU_API_INSECURE)'],
];

/** Commands that have flags of the same names with another meaning: where to listen. */
const SERVERS: ReadonlySet<string> = new Set(['serve', 'devstack']);

/** Client commands take the node's address anywhere. */
function addClientFlags(to: Command): void {
  if (SERVERS.has(to.name())) return;
  if (to.commands.length === 0) for (const [flags, text] of CLIENT_FLAGS) to.option(flags, text);
  for (const inner of to.commands) addClientFlags(inner);
}

/** commander passes settings on only where a command is made by its parent; these are made on their own. */
function configure(all: Command, context: CliContext): void {
  all
    .exitOverride()
    .showHelpAfterError('(add --help for what is possible)')
    .showSuggestionAfterError(true)
    .configureHelp({
      optionDescription: (option: Option) =>
        new Help().optionDescription(option).replace(/ ?\((?:default: \[\]|preset: "true")\)/, ''),
    })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      getOutHasColors: () => hasColour(context, context.stdout),
      getErrHasColors: () => hasColour(context, context.stderr),
    });
  for (const inner of all.commands) configure(inner, context);
}

/** The whole command line. */
export function buildProgram(context: CliContext, programName: string): Command {
  const modules = { context, programName };
  const program = command('bacalhau', 'Run jobs on Bacalhau nodes, or be one', [
    'bacalhau serve',
    'bacalhau docker run --follow busybox:latest -- echo hello',
    'bacalhau job list',
    'bacalhau job get <job id>',
  ])
    .version(`v${packageVersion()}`, '-v, --version', 'print the version of this program')
    .enablePositionalOptions();
  for (const [flags, text] of CLIENT_FLAGS) program.option(flags, text);
  for (const made of [
    serveCommand(modules),
    devstackCommand(modules),
    dockerCommand(modules),
    wasmCommand(modules),
    jobCommand(modules),
    nodeCommand(modules),
    bidCommand(modules),
    benchCommand(modules),
    eventsCommand(modules),
    agentCommand(modules),
    versionCommand(modules),
    configCommand(modules),
  ]) {
    addClientFlags(made);
    program.addCommand(made);
  }
  configure(program, context);
  return program;
}

function printError(context: CliContext, thrown: unknown): void {
  const { stderr } = context;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  stderr.write(`${style(context, stderr, 'red', 'Error: ')}${message}\n`);
  if (!(thrown instanceof NodeError)) {
    // Not raised on purpose: where it comes from is what a bug report needs.
    if (thrown instanceof Error && thrown.stack !== undefined) stderr.write(`${thrown.stack}\n`);
    return;
  }
  const hint = thrown.details?.['hint'] ?? errorRegistry[thrown.code].hint;
  if (hint !== undefined) stderr.write(`${style(context, stderr, 'green', 'Hint:  ')}${hint}\n`);
}

/**
 * `run IMAGE --flag … -- command` and `run IMAGE command --its-own-flag` are both usual: with a "--" the flags
 * before it are ours wherever they stand, without one everything behind the image is the job's.
 */
function allowFlagsAnywhere(command: Command): void {
  command.passThroughOptions(false);
  for (const inner of command.commands) allowFlagsAnywhere(inner);
}

/** Runs one command line. @returns the exit code */
export async function runCli(
  argv: readonly string[],
  context: CliContext,
  programName = 'bacalhau',
): Promise<number> {
  try {
    const program = buildProgram(context, programName);
    const { argv: words, separated } = arrange(argv, program);
    if (separated) allowFlagsAnywhere(program);
    await program.parseAsync([...words], { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof ExitStatus) return thrown.code;
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : EXIT_ERROR;
    if (context.signal.aborted) return EXIT_INTERRUPTED;
    printError(context, thrown);
    return EXIT_ERROR;
  }
}
