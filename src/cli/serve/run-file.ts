import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunningNode } from '../../node-types.ts';

const RUN_FILE = 'bacalhau.run';

/** Lines for a shell that let client commands find this node, and other nodes join it. */
export function exportLines(node: RunningNode): readonly string[] {
  const url = new URL(node.apiUrl);
  const lines = [`export BACALHAU_API_HOST=${url.hostname}`, `export BACALHAU_API_PORT=${url.port}`];
  if (url.protocol === 'https:') lines.push('export BACALHAU_API_TLS=true');
  if (node.swarmAddresses.length > 0) {
    lines.push(`export BACALHAU_NODE_LIBP2P_PEERCONNECT=${node.swarmAddresses.join(',')}`);
  }
  return lines;
}

/** Writes the exports to `<data dir>/bacalhau.run`; the result removes the file again. */
export async function writeRunFile(dataDir: string, node: RunningNode): Promise<() => Promise<void>> {
  const path = join(dataDir, RUN_FILE);
  await writeFile(path, `${exportLines(node).join('\n')}\n`, { mode: 0o644 });
  return () => rm(path, { force: true });
}
