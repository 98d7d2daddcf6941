import { type RunningCommand, startCommand } from './command.ts';
import type { FromHelper, ToHelper } from './protocol.ts';

/**
 * Program of the helper process. It spawns commands for the daemon, because `spawn` stalls the process that
 * calls it in proportion to its memory, and this one is small. It ends with its channel, and everything it
 * started ends with it.
 */
const running = new Map<number, RunningCommand>();

function answer(message: FromHelper): void {
  // The daemon may be gone already: then `disconnect` follows, and must find this process alive.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

function receive(message: ToHelper): void {
  switch (message.kind) {
    case 'run': {
      const command = startCommand(message.request);
      running.set(message.id, command);
      void command.result.then((result) => {
        running.delete(message.id);
        answer({ id: message.id, result });
      });
      return;
    }
    case 'kill':
      running.get(message.id)?.kill();
      return;
  }
}

// Ctrl-C and a supervisor's stop reach the whole group; the daemon decides when its helper ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('message', (message) => receive(message as ToHelper));
process.on('disconnect', () => {
  for (const command of running.values()) command.kill();
  process.exit(0);
});
