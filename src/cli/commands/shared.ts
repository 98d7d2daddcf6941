import { Command } from 'commander';
import { clientConfig } from '../../config/client.ts';
import { ApiClient } from '../client.ts';
import type { CliContext } from '../context.ts';

/** A command with its examples below its help. */
export function command(name: string, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}`).join('\n');
  return new Command(name)
    .description(description)
    .addHelpText('after', examples.length === 0 ? '' : `\nExamples:\n${lines}`);
}

/** A client for the node that the flags or the environment name. */
export function clientOf(context: CliContext, of: Command): ApiClient {
  const flags = of.optsWithGlobals<{
    apiHost?: string;
    apiPort?: string;
    tls?: boolean;
    cacert?: string;
    insecure?: boolean;
  }>();
  const { apiHost: host, apiPort: port, tls, cacert: caCert, insecure } = flags;
  return new ApiClient(clientConfig({ host, port, tls, caCert, insecure }, context.env), {
    signal: context.signal,
  });
}

/** What the actions of commands get. */
export interface CommandModules {
  readonly context: CliContext;
}
