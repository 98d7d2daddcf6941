import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import { readTlsIdentity } from '../../../../src/net/api/tls.ts';
import { temporaryFolder } from '../../../support/folders.ts';
import { certFile, keyFile, otherKeyFile } from '../../../support/tls/files.ts';

test('a certificate and its key are read, and none is none', async () => {
  const identity = await readTlsIdentity({ certFile, keyFile });
  assert.match(identity?.cert ?? '', /BEGIN CERTIFICATE/);
  assert.match(identity?.key ?? '', /BEGIN PRIVATE KEY/);
  assert.equal(await readTlsIdentity({ certFile: '', keyFile: '' }), undefined);
});

test('what is wrong with the files is said with their settings and names', async (t) => {
  const garbage = join(await temporaryFolder(t), 'garbage.pem');
  await writeFile(garbage, 'no PEM at all');
  const cases: [string, string, RegExp][] = [
    [certFile, '', /API\.TLS\.CertFile is set, API\.TLS\.KeyFile is not/],
    ['', keyFile, /API\.TLS\.KeyFile is set, API\.TLS\.CertFile is not/],
    ['/nowhere/c.pem', keyFile, /API\.TLS\.CertFile: cannot read \/nowhere\/c\.pem: ENOENT/],
    [certFile, '/nowhere/k.pem', /API\.TLS\.KeyFile: cannot read \/nowhere\/k\.pem: ENOENT/],
    [garbage, keyFile, /API\.TLS\.CertFile: .*garbage\.pem is not a PEM certificate/],
    [certFile, garbage, /API\.TLS\.KeyFile: .*garbage\.pem is not a PEM private key/],
    [certFile, otherKeyFile, /the key in .*other-key\.pem .* is not that of the certificate in .*cert\.pem/],
  ];
  for (const [cert, key, message] of cases) {
    await assert.rejects(
      readTlsIdentity({ certFile: cert, keyFile: key }),
      (error: unknown) =>
        error instanceof NodeError && error.code === 'ConfigInvalid' && message.test(error.message),
      String(message),
    );
  }
});
