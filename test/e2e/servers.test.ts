import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { helloModule } from '../support/jobs.ts';
import { startRefused, startTestNode } from '../support/node.ts';
import { certFile, keyFile, otherKeyFile } from '../support/tls/files.ts';

test('a node with a certificate is called by https, by the command line too', async (t) => {
  const flags = ['--api-server', 'node', '--tlscert', certFile, '--tlskey', keyFile];
  const node = await startTestNode(t, { flags });
  assert.match(node.apiUrl, /^https:\/\/127\.0\.0\.1:\d+$/);
  assert.match(node.output.stdout, /^ {2}Server +node:http \+ ws$/m);
  assert.match(node.output.stdout, / --tls /);

  const module = join(node.dataDir, 'hello.wasm');
  await writeFile(module, await helloModule());
  const run = await node.cli(['wasm', 'run', '--cacert', certFile, '--follow', module]);
  assert.equal(run.code, 0, run.stderr);
  assert.match(run.stdout, /hello/);
  const insecure = await node.cli(['job', 'list'], { env: { BACALHAU_API_INSECURE: 'true' } });
  assert.equal(insecure.code, 0, insecure.stderr);
  const untrusting = await node.cli(['job', 'list', '--tls']);
  assert.equal(untrusting.code, 1);
  assert.match(untrusting.stderr, /self-signed certificate/);
});

test('the server that is used is shown, and a start that can not have its own way says why', async (t) => {
  const node = await startTestNode(t, {});
  const server = /^ {2}Server +(.+)$/m.exec(node.output.stdout)?.[1] ?? '';
  assert.match(server, /^uWebSockets\.js$|^node:http \+ ws \(not uWebSockets\.js: its binary .+\)$/);
  if (server !== 'uWebSockets.js') {
    const refused = await startRefused(t, { flags: ['--api-server', 'uws'] });
    assert.match(refused.stderr, /API\.Server is uws, but uWebSockets\.js can not be used: its binary/);
  }
  const refused = await startRefused(t, { flags: ['--tlscert', certFile, '--tlskey', otherKeyFile] });
  assert.match(refused.stderr, /the key in .*other-key\.pem .*is not that of the certificate/);
});
