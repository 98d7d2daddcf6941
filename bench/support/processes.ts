import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Scope } from '../../test/support/node.ts';
import type { AloneResult, BurstResult, LoadOrder } from './load-protocol.ts';

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Runs the load process; what it measured. */
export function load(order: LoadOrder & { readonly kind: 'burst' }): Promise<BurstResult>;
export function load(order: LoadOrder & { readonly kind: 'alone' }): Promise<AloneResult>;
export async function load(order: LoadOrder): Promise<BurstResult | AloneResult> {
  const child = spawn(process.execPath, [file('load.ts'), JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  process.removeListener('exit', kill);
  if (code !== 0) throw new Error(`the load process ended with code ${code}`);
  return JSON.parse(text) as BurstResult | AloneResult;
}

/** A bare node:http server in a process of its own; ends with the scope. */
export async function startBareServer(scope: Scope): Promise<{ origin: string; pid: number }> {
  const { word, pid } = await startServer(scope, [file('bare-server.ts')]);
  return { origin: `http://127.0.0.1:${word}`, pid };
}

/** A server of the API in a process of its own, or why there can be none here; ends with the scope. */
export async function startApiServer(
  scope: Scope,
  kind: 'node' | 'uws',
): Promise<{ origin: string; pid: number } | string> {
  const { word, pid } = await startServer(scope, [file('api-server.ts'), kind]);
  return /^\d+$/.test(word) ? { origin: `http://127.0.0.1:${word}`, pid } : word;
}

/** Starts Node.js with `args`; the first word it says. */
async function startServer(scope: Scope, args: readonly string[]): Promise<{ word: string; pid: number }> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  scope.after(() => {
    process.removeListener('exit', kill);
    kill();
  });
  const [word] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return { word: word.trim(), pid: child.pid ?? 0 };
}

/** The other end of the wire; ends with the scope. */
export async function startWirePeer(scope: Scope): Promise<{ address: string; pid: number }> {
  const child = spawn(process.execPath, [file('wire-peer.ts')], { stdio: ['pipe', 'pipe', 'inherit'] });
  scope.after(() => child.kill('SIGKILL'));
  const [address] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return { address: address.trim(), pid: child.pid ?? 0 };
}
