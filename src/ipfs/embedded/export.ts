import { exporter, type UnixFSDirectory, type UnixFSDirectoryEntry } from 'ipfs-unixfs-exporter';
import type { CID } from 'multiformats/cid';
import { NodeError } from '../../core/errors.ts';
import type { TreeWriter } from '../../files/tree.ts';
import { type BlockFetcher, WINDOW } from './fetch.ts';

/**
 * Writes a UnixFS file or folder into `tree`.
 * @throws NodeError InputInvalid for a DAG that is neither, InputUnavailable, InputTooLarge, DiskFull
 */
export async function exportTree(
  root: CID,
  tree: TreeWriter,
  source: BlockFetcher,
): Promise<'file' | 'directory'> {
  const write = async (cid: CID, name: string): Promise<'file' | 'directory'> => {
    const entry = await read(cid, source);
    switch (entry.type) {
      case 'directory':
        await tree.directory(name);
        for await (const child of lookAhead(entry, source)) {
          await write(child.cid, name === '' ? child.name : `${name}/${child.name}`);
        }
        return 'directory';
      case 'file':
        if (entry.unixfs.type === 'symlink') {
          tree.symbolicLink(name, Buffer.from(entry.unixfs.data ?? []).toString('utf8'));
          return 'file';
        }
        await tree.file(name, entry.content({ blockReadConcurrency: WINDOW }));
        return 'file';
      case 'raw':
      case 'identity':
        await tree.file(name, entry.content());
        return 'file';
      case 'object':
        throw new NodeError('InputInvalid', `IPFS ${cid.toString()} is neither a file nor a folder`);
    }
  };
  const kind = await write(root, '');
  await tree.finish();
  return kind;
}

async function read(cid: CID, source: BlockFetcher): ReturnType<typeof exporter> {
  try {
    return await exporter(cid, source);
  } catch (thrown) {
    if (thrown instanceof NodeError || !(thrown instanceof Error)) throw thrown;
    if (!/UnixFS|codec|resolver/i.test(`${thrown.name} ${thrown.message}`)) throw thrown;
    throw new NodeError('InputInvalid', `IPFS ${cid.toString()}: ${thrown.message}`, { cause: thrown });
  }
}

/** A folder's entries in order, while the first blocks of the next ones are on their way already. */
async function* lookAhead(
  directory: UnixFSDirectory,
  source: BlockFetcher,
): AsyncGenerator<UnixFSDirectoryEntry> {
  const ahead: { entry: UnixFSDirectoryEntry; ready: Promise<void> }[] = [];
  for await (const entry of directory.entries({ blockReadConcurrency: WINDOW })) {
    ahead.push({ entry, ready: source.prefetch(entry.cid) });
    if (ahead.length < WINDOW) continue;
    const first = ahead.shift();
    if (first === undefined) continue;
    await first.ready;
    yield first.entry;
  }
  for (const { entry, ready } of ahead) {
    await ready;
    yield entry;
  }
}
