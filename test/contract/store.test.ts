import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbEnvironment } from '../../src/store/lmdb-environment.ts';
import { openMemoryEnvironment } from '../../src/store/memory-environment.ts';
import { TEST_NODE } from '../support/store-records.ts';
import { storeContract } from './store.ts';

storeContract('memory', async () => ({
  open: async () => openMemoryEnvironment(),
  dispose: async () => undefined,
}));

storeContract('LMDB', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bacalhau-store-'));
  let opened = 0;
  return {
    open(role) {
      opened += 1;
      return openLmdbEnvironment({ path: join(directory, `${opened}`, 'store.db'), role, nodeId: TEST_NODE });
    },
    dispose: () => rm(directory, { recursive: true, force: true }),
  };
});
