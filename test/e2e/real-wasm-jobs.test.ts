import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { shortId } from '../../src/core/ids.ts';
import { temporaryFolder, writeTree } from '../support/folders.ts';
import { helloModule, wasmJob } from '../support/jobs.ts';
import { startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { completed, jobGet, publishedResult, said, submittedId } from '../support/results.ts';
import { suiteScope } from '../support/scope.ts';
import { goProgram } from '../support/wasm-go.ts';
import { builtProgram } from '../support/wasm-run.ts';

describe('WASM jobs', () => {
  const scope = suiteScope();
  let node: TestNode;
  let folder = '';
  before(async () => {
    folder = await temporaryFolder(scope);
    node = await startTestNode(scope, { flags: ['--allow-listed-local-paths', `${folder}/allowed/**`] });
    await writeTree(folder, {
      'files.wasm': await builtProgram('files'),
      'allowed/data/text.txt': 'what the job reads\n',
      'allowed/data/sub/b.txt': 'bbbbb',
      'secret.txt': 'not for jobs',
    });
  });

  it('a C program reads a file, writes a file and exits with 3', async (t) => {
    const run = await node.cli([
      ...['wasm', 'run', '--publisher', 'local', '--output', 'outputs:/outputs', '--output', 'more:/more'],
      ...['--input', 'src=data:text/plain;base64,d2hhdCB0aGUgam9iIHJlYWRzCg==,dst=/inputs/text.txt'],
      join(folder, 'files.wasm'),
    ]);
    assert.equal(run.code, 1, said(run));
    assert.match(run.stderr, /exited with code 3/);
    const id = submittedId(run);
    assert.equal((await node.jobState(id)).state, 'Completed');
    const results = await jobGet(t, node, id);
    assert.deepEqual((await readdir(results)).sort(), ['exitCode', 'more', 'outputs', 'stderr', 'stdout']);
    assert.equal(await readFile(join(results, 'exitCode'), 'utf8'), '3');
    assert.equal(await readFile(join(results, 'outputs/capitals.txt'), 'utf8'), 'WHAT THE JOB READS\n');
    assert.deepEqual(await readdir(join(results, 'more')), []);
    const stdout = await readFile(join(results, 'stdout'), 'utf8');
    assert.match(stdout, /refused \/etc\/passwd/);
    assert.doesNotMatch(stdout, /REACHED/);
    assert.match(await readFile(join(results, 'stderr'), 'utf8'), /: 0 of the host's files reached\n/);

    const archive = await jobGet(t, node, id, ['--raw']);
    const [name = ''] = await readdir(archive);
    assert.match(name, /^e-[0-9a-f-]{36}\.tar\.gz$/);
    assert.equal((await readFile(join(archive, name))).subarray(0, 2).toString('hex'), '1f8b');
    const one = await node.cli(['job', 'get', '--output-dir', archive, `${id}/outputs/capitals.txt`]);
    assert.equal(one.code, 0, said(one));
    assert.equal(await readFile(join(archive, 'outputs/capitals.txt'), 'utf8'), 'WHAT THE JOB READS\n');
  });

  it('a Go program walks a folder of this machine, as a job file says', async (t) => {
    const module = await goProgram();
    if (typeof module === 'string') {
      console.log(`SKIPPED ${t.name}: ${module}`);
      return t.skip(module);
    }
    await writeFile(join(folder, 'allowed/walker.wasm'), module);
    const local = (path: string): Wire => ({
      Type: 'localDirectory',
      Params: { SourcePath: join(folder, path) },
    });
    const job = {
      Name: 'walker',
      Type: 'batch',
      Count: 1,
      Tasks: [
        {
          Name: 'main',
          Engine: { Type: 'wasm', Params: { EntryModule: 'main.wasm', Parameters: ['one', 'two words'] } },
          Env: { GREETING: 'grüß Gott' },
          InputSources: [
            { Source: local('allowed/walker.wasm'), Target: 'main.wasm' },
            { Source: local('allowed/data'), Target: '/inputs' },
            { Source: { Type: 'inline', Params: { URL: 'data:,first%0Asecond%0A' } }, Target: '/dev/stdin' },
          ],
          ResultPaths: [{ Name: 'made', Path: '/outputs' }],
          Publisher: { Type: 'local' },
          Resources: { CPU: '1', Memory: '256mb' },
        },
      ],
    };
    const file = join(folder, 'walker.yaml');
    // JSON is YAML.
    await writeFile(file, JSON.stringify(job, null, 2));
    const run = await node.cli(['job', 'run', '--follow', file]);
    assert.equal(run.code, 1, said(run));
    assert.match(run.stderr, /exited with code 7/, 'the code of a program that found all as it should be');
    for (const line of [
      'args one,two words',
      'env grüß Gott',
      'file /inputs/text.txt 19',
      'lines 2',
      'done',
    ]) {
      assert.ok(run.stdout.includes(`${line}\n`), `no "${line}" in\n${said(run)}`);
    }
    const results = await jobGet(t, node, submittedId(run));
    assert.equal(await readFile(join(results, 'made/deep/er/final-1'), 'utf8'), '1');
    assert.equal(await readFile(join(results, 'stderr'), 'utf8'), '');
    assert.equal(await readFile(join(results, 'exitCode'), 'utf8'), '7');
  });

  it('what the commands show of a job', async () => {
    const id = await node.submit(wasmJob(await helloModule(), { name: 'shown', publisher: 'local' }));
    await completed(node, id);
    const [execution] = await node.executions(id);
    const short = shortId(execution?.id ?? '');
    const logs = await node.cli(['job', 'logs', id]);
    assert.equal(logs.stdout, 'hello\n', said(logs));
    const followed = await node.cli(['job', 'logs', '--follow', 'shown']);
    assert.equal(followed.stdout, 'hello\n', said(followed));

    const described = await node.cli(['job', 'describe', 'shown']);
    assert.equal(described.code, 0, said(described));
    for (const pattern of [
      /^ID +=  ?j-/m,
      /^Name +=  ?shown$/m,
      /^State +=  ?Completed$/m,
      /^Completed = 1$/m,
    ]) {
      assert.match(described.stdout, pattern);
    }
    assert.match(described.stdout, /Standard Output\nhello\n/);
    assert.ok(described.stdout.includes(short), described.stdout);

    const history = await node.cli(['job', 'history', id]);
    for (const words of ['Job submitted', 'Requested execution on', 'Completed successfully', short]) {
      assert.ok(history.stdout.includes(words), `no "${words}" in\n${said(history)}`);
    }
    const executions = await node.cli(['job', 'executions', id]);
    assert.match(executions.stdout, new RegExp(`${short}.*Completed`), said(executions));

    const held = await node.cli(['node', 'executions', '--output', 'json']);
    assert.equal(held.code, 0, said(held));
    const rows = JSON.parse(held.stdout) as Wire[];
    const row = rows.find((one) => JSON.stringify(one).includes(execution?.id ?? ''));
    assert.ok(row !== undefined, said(held));
    assert.ok(JSON.stringify(row).includes('"shown"'), `the original job is in ${JSON.stringify(row)}`);
    const table = await node.cli(['node', 'executions']);
    assert.match(table.stdout, new RegExp(short), said(table));
    const listed = await node.cli(['job', 'list']);
    assert.match(listed.stdout, /shown +wasm +batch +Completed/, said(listed));
  });

  it('--follow prints the output while the job runs', async () => {
    const run = await node.cli([
      'wasm',
      'run',
      '--follow',
      '--publisher',
      'none',
      join(folder, 'files.wasm'),
    ]);
    assert.match(run.stdout, /Waiting for logs/);
    assert.match(run.stderr + run.stdout, /\/inputs\/text\.txt/, 'its own complaint about a missing input');
    assert.equal(run.code, 1);
  });

  it('a local folder is mounted only where the allow-list has it', async () => {
    for (const [path, reason] of [
      [join(folder, 'secret.txt'), /--allow-listed-local-paths/],
      [join(folder, 'allowed/../secret.txt'), /--allow-listed-local-paths/],
    ] as const) {
      const id = await node.submit(
        withInput(wasmJob(await helloModule()), { Type: 'localDirectory', Params: { SourcePath: path } }),
      );
      const end = await node.waitForJob(id);
      assert.equal(end.state, 'Failed', path);
      assert.match(end.message, reason);
    }
  });

  it('a URL of this machine is an input only where the allow-list has it', async (t) => {
    const server = createServer((_, reply) => reply.end('from the network\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const url = `http://127.0.0.1:${address.port}/text.txt`;
    const job = withInput(
      wasmJob(await builtProgram('files'), {
        publisher: 'local',
        resources: { CPU: '100m', Memory: '32mb' },
        results: [{ Name: 'outputs', Path: '/outputs' }],
      }),
      { Type: 'urlDownload', Params: { URL: url } },
      '/inputs',
    );
    const refused = await node.submit(job);
    const end = await node.waitForJob(refused);
    assert.equal(end.state, 'Failed');
    assert.match(JSON.stringify(await node.history(refused)), /127\.0\.0\.1.*--url-allow-list/);

    const other = await startTestNode(t, { flags: ['--url-allow-list', '127.0.0.1'] });
    const id = await other.submit(job);
    await completed(other, id);
    const results = await jobGet(t, other, id);
    assert.equal(await readFile(join(results, 'outputs/capitals.txt'), 'utf8'), 'FROM THE NETWORK\n');

    await other.restart({
      flags: ['--job-selection-data-locality', 'local', '--url-allow-list', '127.0.0.1'],
    });
    const local = await other.submit(job);
    const refusal = await other.waitForJob(local);
    assert.equal(refusal.state, 'Failed');
    assert.match(refusal.message, /--job-selection-data-locality/);
    assert.equal((await publishedResult(other, id)).Type, 'urlDownload', 'earlier results are kept');
  });
});

function withInput(job: Wire, source: Wire, target = '/inputs'): Wire {
  const [task] = job['Tasks'] as Wire[];
  const inputs = task?.['InputSources'] as Wire[];
  return {
    ...job,
    Tasks: [{ ...task, InputSources: [...inputs, { Source: source, Alias: '', Target: target }] }],
  };
}
