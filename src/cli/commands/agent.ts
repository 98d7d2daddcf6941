import type { Command } from 'commander';
import { addOutputFlags, type OutputOptions, printDocument } from '../output.ts';
import { wire, wireText } from '../wire.ts';
import { type CommandModules, clientOf, command } from './shared.ts';

function alive(modules: CommandModules): Command {
  const alive = command('alive', 'Say whether the node answers', ['bacalhau agent alive']);
  addOutputFlags(alive, 'document').action(async (flags: OutputOptions) => {
    printDocument(modules.context, await clientOf(modules.context, alive).get('/api/v1/agent/alive'), flags);
  });
  return alive;
}

function version(modules: CommandModules): Command {
  const version = command('version', 'Show the version of the node', [
    'bacalhau agent version',
    'bacalhau agent version --output json',
  ]);
  addOutputFlags(version, 'document').action(async (flags: OutputOptions) => {
    const build = await clientOf(modules.context, version).get('/api/v1/agent/version');
    if (flags.output !== undefined) {
      printDocument(modules.context, build, flags);
      return;
    }
    const line = (title: string, key: string): string => `${title} ${wireText(build[key])}\n`;
    modules.context.stdout.write(
      line('Bacalhau', 'GitVersion') + line('BuildDate', 'BuildDate') + line('GitCommit', 'GitCommit'),
    );
  });
  return version;
}

function node(modules: CommandModules): Command {
  const node = command('node', 'Show what the node says of itself', [
    'bacalhau agent node',
    'bacalhau agent node --output json --pretty',
  ]);
  addOutputFlags(node, 'document').action(async (flags: OutputOptions) => {
    printDocument(modules.context, await clientOf(modules.context, node).get('/api/v1/agent/node'), flags);
  });
  return node;
}

function config(modules: CommandModules): Command {
  const config = command('config', "Show the node's configuration, secrets hidden", [
    'bacalhau agent config',
  ]);
  addOutputFlags(config, 'document').action(async (flags: OutputOptions) => {
    const reply = await clientOf(modules.context, config).get('/api/v1/agent/config');
    printDocument(modules.context, wire(reply['config']), flags);
  });
  return config;
}

export function agentCommand(modules: CommandModules): Command {
  return command('agent', 'Ask a node about itself', [])
    .addCommand(alive(modules))
    .addCommand(version(modules))
    .addCommand(node(modules))
    .addCommand(config(modules));
}
