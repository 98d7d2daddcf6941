import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { it } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a process says that may open so many files. */
async function said(files: number, cpus: number): Promise<string> {
  const program = `
    const { descriptorWarning } = await import('${new URL('../../../src/node/descriptors.ts', import.meta.url).href}');
    const { limits } = await import('${new URL('../../../src/core/limits.ts', import.meta.url).href}');
    console.log((await descriptorWarning(limits, ${cpus})) ?? 'nothing');`;
  const script = `ulimit -n ${files} && exec "$0" --input-type=module -e "$1"`;
  const { stdout } = await run('sh', ['-c', script, process.execPath, program]);
  return stdout.trim();
}

it('says when too few files may be open', { skip: process.platform !== 'linux' }, async () => {
  assert.match(await said(512, 2), /may open 512 .* needs 2000: .*ulimit -n/);
  assert.equal(await said(2000, 2), 'nothing');
  assert.match(await said(2000, 2.5), /needs 2040/);
});
