import { type Scope, startTestNode, type TestNode } from '../../test/support/node.ts';

/** Both servers of the API: their kinds and their names. */
export const SERVERS = [
  ['node', 'node:http + ws'],
  ['uws', 'uWebSockets.js'],
] as const;

/** A whole node, and the server that its API is on. */
export interface ServedNode {
  readonly server: string;
  readonly node: TestNode;
}

/** A node on each server that loads here, one after the other: the one before has stopped. */
export async function* nodesOnServers(
  scope: Scope,
  flags: readonly string[] = [],
): AsyncGenerator<ServedNode> {
  const [[plain, plainName], [, fastName]] = SERVERS;
  const first = await startTestNode(scope, { flags: ['--api-server', plain, ...flags] });
  yield { server: plainName, node: first };
  await first.stop();
  const second = await startTestNode(scope, { flags });
  // What it serves on, and why on no other.
  const server = /^ {2}Server +(.+)$/m.exec(second.output.stdout)?.[1] ?? '';
  if (server === fastName) yield { server, node: second };
  else console.log(`SKIPPED: a node on ${fastName}: ${server}`);
  await second.stop();
}
