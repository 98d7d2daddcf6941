import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { debianRoot } from './debian-root.ts';
import { connectRoot, installNode, networkVariables, npmSettings } from './npm-network.ts';
import { run } from './services/service.ts';

const RELEASE = 'trixie';
const VERSIONS = { node: '24', npm: '11' };

/**
 * Imports a Debian 13 with Node.js 24 and npm, which knows this machine's way to the npm registry, into an engine: the
 * base that the project's image is built on where no registry of images is in reach. Resolves to its name.
 */
export async function importBaseImage(docker: Docker): Promise<string | { readonly skip: string }> {
  const root = await debianRoot({
    name: `${RELEASE}-node${VERSIONS.node}`,
    release: RELEASE,
    prepare: (partial) => installNode(partial, VERSIONS),
  });
  if (typeof root !== 'string') return root;
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-base-'));
  try {
    const machine = join(folder, 'root');
    const copied = await run('cp', ['-a', '--reflink=auto', root, machine], { timeoutMs: 120_000 });
    if (copied.code !== 0) throw new Error(`copying the base system: ${copied.stderr.trim().slice(-300)}`);
    await connectRoot(machine, await npmSettings());
    const tar = spawn('tar', ['--create', '-C', machine, '.'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const variables = Object.entries(networkVariables()).map(([name, value]) => `ENV ${name}=${value}`);
    const name = 'bacalhau-test-base';
    const progress = await docker.importImage(tar.stdout, {
      ...{ fromSrc: '-', repo: name, tag: '1' },
      changes: ['ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...variables],
    });
    await finished(docker, progress);
    return `${name}:1`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads a progress stream to its end. @returns its lines @throws Error of a line */
export function finished(docker: Docker, stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    docker.modem.followProgress(
      stream,
      (error: Error | null, lines: { error?: string; stream?: string }[] | null) => {
        const text = (lines ?? []).map((line) => line.stream ?? '').join('');
        const failed = lines?.find((line) => line.error !== undefined)?.error;
        if (error !== null) reject(error);
        else if (failed !== undefined) reject(new Error(`${failed}\n${text.slice(-3000)}`));
        else resolve(text);
      },
    );
  });
}
