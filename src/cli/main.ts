import { text } from 'node:stream/consumers';
import { processEnvironment } from '../config/environment.ts';
import type { CliContext, Output } from './context.ts';
import { runCli } from './program.ts';

function outputOf(stream: NodeJS.WriteStream): Output {
  // A reader that went away (`bacalhau job list | head -1`) is no error of ours.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return { isTTY: stream.isTTY === true, write: (chunk) => void stream.write(chunk) };
}

/** Runs the command line in this process. @returns the exit code */
export async function runMain(argv: readonly string[], scriptName: string): Promise<number> {
  const controller = new AbortController();
  const second: (() => void)[] = [];
  const onSignal = (): void => {
    if (controller.signal.aborted) for (const listener of second) listener();
    else controller.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const context: CliContext = {
    env: processEnvironment(),
    cwd: process.cwd(),
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    readStdin: () => text(process.stdin),
    signal: controller.signal,
    onSecondSignal: (listener) => void second.push(listener),
    onReload: (listener) => void process.on('SIGHUP', listener),
    startNode: async (config, modules) => {
      const { startNode } = await import('../node.ts');
      return startNode(config, modules);
    },
  };
  // From a checkout the command is not on the PATH; npx finds it, and the Node.js it needs.
  return runCli(argv, context, scriptName === 'bacalhau' ? 'bacalhau' : 'npx bacalhau');
}
