import assert from 'node:assert/strict';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import { createLocalPublisher } from '../../../src/publishers/local.ts';
import { createPublishers } from '../../../src/publishers/registry.ts';
import { temporaryFolder, writeTree } from '../../support/folders.ts';
import { publishRequest } from '../../support/publishing.ts';

const EXECUTION = 'e-01890a5d-ac96-774b-bcce-b302099a8057';

test('the result names the archive by the execution', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(join(folder, 'results'), { stdout: 'x' });
  const directory = join(folder, 'archives');
  const publisher = createLocalPublisher({ directory, url: 'http://node:1234/results' });
  const published = await publisher.publish(publishRequest(EXECUTION, join(folder, 'results')));
  assert.deepEqual(published, {
    Type: 'urlDownload',
    Params: { URL: `http://node:1234/results/${EXECUTION}.tar.gz` },
  });
  assert.deepEqual(await readdir(directory), [`${EXECUTION}.tar.gz`]);
});

test('a full disk: DiskFull, and nothing is left', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(join(folder, 'results'), { stdout: 'x'.repeat(100_000) });
  const directory = join(folder, 'archives');
  await mkdir(directory);
  // The archive grows under this name, and /dev/full has no space for anything.
  await symlink('/dev/full', join(directory, `.${EXECUTION}.tar.gz.partial`));
  const publisher = createLocalPublisher({ directory, url: 'http://node/results' });
  await assert.rejects(
    publisher.publish(publishRequest(EXECUTION, join(folder, 'results'))),
    (thrown) => thrown instanceof NodeError && thrown.code === 'DiskFull',
  );
  assert.deepEqual(await readdir(directory), []);
});

test('an id that is no file name is refused', async (t) => {
  const folder = await temporaryFolder(t);
  const publisher = createLocalPublisher({ directory: join(folder, 'archives'), url: 'http://node/results' });
  for (const id of ['../x', '', 'a/b', '.']) {
    await assert.rejects(publisher.publish(publishRequest(id, folder)), NodeError);
  }
  assert.deepEqual(await readdir(folder), []);
});

test('a failed publication leaves no archive', async (t) => {
  const folder = await temporaryFolder(t);
  const directory = join(folder, 'archives');
  const publisher = createLocalPublisher({ directory, url: 'http://node/results' });
  await assert.rejects(publisher.publish(publishRequest(EXECUTION, join(folder, 'gone'))), NodeError);
  assert.deepEqual(await readdir(directory), []);
});

test('the registry has all publishers, and loads none of them', () => {
  const publishers = createPublishers(
    {
      archivesDirectory: '/nonexistent',
      archivesUrl: 'http://node/results',
      storages: {
        ipfsConnect: 'malformed, but not used yet',
        ipfsAuthorization: '',
        ipfsBlocks: '/nonexistent',
        allowListedLocalPaths: [],
        urlAllowList: [],
        urlTimeoutMs: 1,
        urlRetries: 0,
      },
    },
    () => Promise.resolve(null),
  );
  assert.deepEqual([...publishers.keys()], ['ipfs', 'local', 'noop']);
});
