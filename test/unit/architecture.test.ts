import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { faultOf, type Import, importsOf, linterOverrides, readImports } from '../support/arrows.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAX_LINES = 400;

describe('architecture', () => {
  let files: string[];
  before(async () => {
    files = [];
    for await (const file of glob('src/**/*.ts', { cwd: ROOT })) files.push(file.replaceAll('\\', '/'));
    assert.ok(files.length > 50, 'the sources were not found');
  });

  const faults = (imports: readonly Import[]): string[] =>
    imports.flatMap((found) => {
      const fault = faultOf(found);
      return fault === undefined ? [] : [`${found.file} imports ${found.target}: ${fault}`];
    });

  it('has no arrow that points the wrong way', async () => {
    const all = await Promise.all(files.map((file) => readImports(ROOT, file)));
    assert.ok(all.flat().length > 200, 'the imports were not found');
    assert.deepEqual(faults(all.flat()), []);
  });

  it('would see one', () => {
    const wrong: [string, string][] = [
      ['src/core/ids.ts', "import { x } from '../store/keys.ts';"],
      ['src/requester/broker.ts', "import { x } from '../pipeline/spine.ts';"],
      ['src/pipeline/spine.ts', "import type { X } from '../requester/broker.ts';"],
      ['src/pipeline/spine.ts', "import { x } from '../workers/bid/bid.ts';"],
      ['src/pipeline/spine.ts', "import { x } from '../net/delivery.ts';"],
      ['src/pipeline/bid/stage.ts', "import {\n  x,\n} from '../execute/stage.ts';"],
      ['src/workers/bid/bid.ts', "import { x } from '../execute/run.ts';"],
      ['src/workers/bid/bid.ts', "const x = await import('../../net/api/routes.ts');"],
      ['src/store/keys.ts', "export { x } from '../events/seq.ts';"],
      ['src/store/keys.ts', "export * from '../net/api/routes.ts';"],
      ['src/store/keys.ts', "import '../net/api/routes.ts';"],
      ['src/store/keys.ts', "import { x } from '../config/table.ts';"],
      ['src/config/load.ts', "import { x } from '../store/keys.ts';"],
      ['src/net/p2p/host.ts', "import { x } from '../../capacity/ledger.ts';"],
      ['src/engines/docker/engine.ts', "import { x } from '../../workers/pool.ts';"],
      ['src/capacity/ledger.ts', "new Worker(new URL('../pipeline/thread.ts', import.meta.url))"],
      ['src/engines/docker/engine.ts', "import Piscina from 'piscina';"],
      ['src/node/stores.ts', "import { x } from '../cli/output.ts';"],
      ['src/cli/output.ts', "import { x } from '../requester/broker.ts';"],
    ];
    for (const [file, text] of wrong) {
      assert.equal(faults(importsOf(file, text)).length, 1, `${file}: ${text}`);
    }
    const right: [string, string][] = [
      ['src/store/keys.ts', "import { x } from '../core/errors.ts';\nimport y from 'lmdb';"],
      ['src/store/options.ts', "import type { Setting } from '../config/table.ts';"],
      ['src/config/settings.ts', "import { x } from '../net/api/options.ts';"],
      ['src/pipeline/bid/stage.ts', "import type { X } from '../../workers/bid/protocol.ts';"],
      ['src/workers/pool.ts', "import { Piscina } from 'piscina';"],
      ['src/node.ts', "import { x } from './net/api/routes.ts';"],
      ['src/main.ts', "import { x } from './cli/program.ts';"],
    ];
    for (const [file, text] of right) assert.deepEqual(faults(importsOf(file, text)), [], `${file}: ${text}`);
  });

  it('gives every worker file a protocol, imported by both sides', async () => {
    const workers = files.filter((file) => file.endsWith('.worker.ts'));
    assert.ok(workers.length >= 5, 'the five stages have a worker file each');
    for (const worker of workers) {
      const protocol = join(dirname(worker), 'protocol.ts').replaceAll('\\', '/');
      assert.ok(files.includes(protocol), `${worker} has no protocol.ts beside it`);
      const importers = await Promise.all(files.map((file) => readImports(ROOT, file)));
      const used = importers.flat().filter(({ target }) => target === protocol);
      for (const side of [dirname(worker), 'src/pipeline']) {
        assert.ok(
          used.some(({ file }) => file.startsWith(side)),
          `${protocol} is not imported by ${side}`,
        );
      }
    }
  });

  it(`keeps every source file within ${MAX_LINES} lines`, async () => {
    for (const file of files) {
      const lines = (await readFile(join(ROOT, file), 'utf8')).trimEnd().split('\n').length;
      assert.ok(lines <= MAX_LINES, `${file} has ${lines} lines`);
    }
  });

  it('tells the linter the same arrows', async () => {
    const config = JSON.parse(await readFile(join(ROOT, '.oxlintrc.json'), 'utf8')) as {
      overrides: object[];
    };
    for (const expected of linterOverrides()) {
      assert.ok(
        config.overrides.some((found) => JSON.stringify(found) === JSON.stringify(expected)),
        `.oxlintrc.json lacks or differs in this override:\n${JSON.stringify(expected, null, 2)}`,
      );
    }
  });

  it('reads process.env in src/config only', async () => {
    for (const file of files) {
      if (file.startsWith('src/config/')) continue;
      const text = await readFile(join(ROOT, file), 'utf8');
      assert.doesNotMatch(text, /\bprocess\.env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/, file);
    }
  });
});
