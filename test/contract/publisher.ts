import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { NodeError } from '../../src/core/errors.ts';
import type { SpecConfig } from '../../src/core/job.ts';
import type { Publisher } from '../../src/publishers/publisher.ts';
import { fingerprint, type Tree, temporaryFolder, writeTree } from '../support/folders.ts';
import { publishRequest } from '../support/publishing.ts';

/** One publisher under the suite. */
export interface PublisherUnderTest {
  readonly publisher: Publisher;
  /** Fetches what was published, as a client would, into a new folder. */
  fetch(published: SpecConfig, into: string): Promise<void>;
}

const EXECUTION = 'e-01890a5d-ac96-774b-bcce-b302099a8057';
const results: Tree = {
  stdout: 'out\n',
  stderr: '',
  exitCode: '0',
  'outputs/data.bin': Buffer.from([0, 1, 2, 254, 255]),
  'outputs/a folder/ü +%.txt': 'x'.repeat(300_000),
  'outputs/empty': null,
  'outputs/inner-link': { link: 'data.bin' },
};

/**
 * What holds for every publisher. `factory` is called once a test; the test is skipped with the reason it
 * returns instead of a publisher.
 */
export function publisherContract(
  name: string,
  factory: (t: TestContext) => Promise<PublisherUnderTest | { readonly skip: string }>,
): void {
  const test = (title: string, body: (t: TestContext, under: PublisherUnderTest) => Promise<void>): void => {
    it(title, async (t) => {
      const under = await factory(t);
      if ('skip' in under) {
        console.log(`SKIPPED publisher contract of ${name}: ${title}: ${under.skip}`);
        t.skip(under.skip);
        return;
      }
      await body(t, under);
    });
  };
  const made = async (t: TestContext, tree: Tree = results): Promise<string> => {
    const folder = join(await temporaryFolder(t), 'results');
    await writeTree(folder, tree);
    return folder;
  };

  describe(`publisher contract: ${name}`, () => {
    test('its type is lower case', (_t, { publisher }) => {
      assert.equal(publisher.type, publisher.type.toLowerCase());
      return Promise.resolve();
    });

    test('what is fetched is what was published, links as links', async (t, under) => {
      const folder = await made(t);
      const published = await under.publisher.publish(publishRequest(EXECUTION, folder));
      const into = join(await temporaryFolder(t), 'fetched');
      await under.fetch(published, into);
      assert.deepEqual(await fingerprint(into), await fingerprint(folder));
    });

    test('publishing twice gives the same result', async (t, under) => {
      const folder = await made(t);
      const first = await under.publisher.publish(publishRequest(EXECUTION, folder));
      const second = await under.publisher.publish(publishRequest(EXECUTION, folder));
      assert.deepEqual(second, first);
      const into = join(await temporaryFolder(t), 'fetched');
      await under.fetch(second, into);
      assert.deepEqual(await fingerprint(into), await fingerprint(folder));
    });

    test('results are left as they are', async (t, under) => {
      const folder = await made(t);
      const before = await fingerprint(folder);
      await under.publisher.publish(publishRequest(EXECUTION, folder));
      assert.deepEqual(await fingerprint(folder), before);
    });

    test('a link that leads outside is never followed', async (t, under) => {
      const outside = await temporaryFolder(t);
      await writeTree(outside, { secret: 'the secret of the host' });
      const folder = await made(t, { stdout: 'x', 'outputs/host': { link: outside } });
      const published = await under.publisher.publish(publishRequest(EXECUTION, folder));
      const into = join(await temporaryFolder(t), 'fetched');
      // A client may refuse such a link; what it must not get is the file behind it.
      await under.fetch(published, into).catch((thrown: unknown) => assert.ok(thrown instanceof NodeError));
      const found = await fingerprint(into).catch(() => ({}));
      assert.ok(!Object.keys(found).some((path) => path.includes('secret')));
    });

    test('an abort ends it', async (t, under) => {
      const request = publishRequest(EXECUTION, await made(t), AbortSignal.abort());
      await assert.rejects(under.publisher.publish(request));
    });

    test('results that are gone: PublishFailed', async (_t, under) => {
      await assert.rejects(
        under.publisher.publish(publishRequest(EXECUTION, '/nonexistent/results')),
        (thrown) => thrown instanceof NodeError && thrown.code === 'PublishFailed',
      );
    });
  });
}
