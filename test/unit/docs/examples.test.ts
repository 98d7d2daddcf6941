import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fillTemplate, readJobFile } from '../../../src/cli/job-file.ts';
import { submit } from '../../support/ingest.ts';
import { ROOT } from '../../support/markdown.ts';
import { wat } from '../../support/wat.ts';

const folder = join(ROOT, 'examples');
const CID = 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG';
const names = await readdir(folder);
const text = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');

/** A job file as the command line sends it and the node takes it. */
async function ingested(name: string): ReturnType<typeof checked> {
  return checked(name, fillTemplate(await text(name), { cid: CID }));
}

function checked(name: string, filled: string): Promise<ReturnType<typeof submit>> {
  const file = readJobFile(filled, name);
  return Promise.resolve(
    file.kind === 'spec' ? submit(file.text, { contentType: file.contentType }) : submit({ Job: file.job }),
  );
}

describe('examples', () => {
  for (const name of names.filter((one) => ['.yaml', '.json'].includes(extname(one)))) {
    it(`${name} is a job that the node takes`, async () => {
      const { job } = await ingested(name);
      assert.equal(job.Tasks.length, 1);
    });
  }

  it('hello.wasm is what hello.wat says', async () => {
    assert.deepEqual(
      Buffer.from(await wat(await text('hello.wat'))),
      await readFile(join(folder, 'hello.wasm')),
    );
  });

  it('wasm-inline.yaml brings hello.wasm', async () => {
    const { job } = await ingested('wasm-inline.yaml');
    const source = job.Tasks[0].InputSources?.find(({ Target }) => Target === 'main.wasm')?.Source;
    const url = String(source?.Params?.['URL']);
    assert.equal(
      url,
      `data:application/wasm;base64,${(await readFile(join(folder, 'hello.wasm'))).toString('base64')}`,
    );
  });

  it('ipfs-cat.json is of the oldest form, and is translated', async () => {
    const { job, warnings } = await ingested('ipfs-cat.json');
    const [task] = job.Tasks;
    assert.equal(task.Engine.Type, 'docker');
    assert.deepEqual(task.Engine.Params?.['Entrypoint'], ['cat', '/file.txt']);
    assert.equal(task.InputSources?.[0]?.Source.Params?.['CID'], CID);
    assert.equal(task.InputSources?.[0]?.Target, '/file.txt');
    assert.equal(task.Publisher.Type, 'ipfs');
    assert.ok(warnings.some((warning) => warning.includes('older form')));
  });
});
