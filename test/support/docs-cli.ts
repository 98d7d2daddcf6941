import type { Command } from 'commander';
import { buildProgram } from '../../src/cli/program.ts';
import { testContext } from './cli.ts';

const WIDTH = 100;
/** Its flags are those of docs/CONFIG.md. */
const SERVE = 'bacalhau serve';

/** A command that runs, by its whole name: "bacalhau job list". */
interface Leaf {
  readonly name: string;
  readonly command: Command;
}

function leaves(command: Command, name: string): Leaf[] {
  if (command.commands.length === 0) return [{ name, command }];
  return command.commands.flatMap((inner) => leaves(inner, `${name} ${inner.name()}`));
}

/** The program's help texts, wrapped alike on every terminal. */
function helpTexts(): readonly { readonly name: string; readonly text: string }[] {
  const { context, printed } = testContext();
  return leaves(buildProgram(context, 'bacalhau'), 'bacalhau').map(({ name, command }) => {
    printed.stdout = '';
    command.configureOutput({ getOutHelpWidth: () => WIDTH });
    command.outputHelp();
    return { name, text: printed.stdout.trimEnd() };
  });
}

function section({ name, text }: { name: string; text: string }): string {
  if (name !== SERVE) return `## ${name}\n\n\`\`\`text\n${text}\n\`\`\`\n`;
  const examples = text.slice(text.lastIndexOf('\nExamples:\n'));
  return `## ${name}\n\nStarts a node: compute, requester or both. Its flags are those of [CONFIG.md](CONFIG.md).\n\n\`\`\`text${examples}\n\`\`\`\n`;
}

/** docs/CLI.md as the commands describe themselves. */
export function cliPage(): string {
  const texts = helpTexts();
  const index = texts.map(({ name }) => `[${name}](#${name.replaceAll(' ', '-')})`).join(', ');
  return `# Command line

Commands, flags and output are those of Bacalhau 1.9. From a checkout the command is \`npx bacalhau\`.

${index}

\`--api-host\` and \`--api-port\` (or \`BACALHAU_API_HOST\`, \`BACALHAU_API_PORT\`) name the node to call; without them it is 127.0.0.1:1234.
\`--output json\` and \`--output yaml\` print what the REST API answered, for programs.

Exit codes: 0, 1 for an error and for a job that did not succeed, 130 after Ctrl+C. Errors, warnings and progress go to
stderr, everything else to stdout.

This page is made from the commands; \`UPDATE_DOCS=1 node --test test/unit/docs/tables.test.ts\` writes it.

${texts.map(section).join('\n')}`;
}
