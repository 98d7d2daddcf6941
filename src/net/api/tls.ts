import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { NodeError } from '../../core/errors.ts';

/** A certificate chain and its key, from files that were read and fit together. */
export interface TlsIdentity {
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

/** Oldest protocol of both servers: Bacalhau's own. */
export const MIN_TLS_VERSION = 'TLSv1.2';

/**
 * Reads the operator's certificate. Undefined when neither file is named: then the API is served in the clear.
 * @throws NodeError ConfigInvalid, naming the setting and the file
 */
export async function readTlsIdentity(
  files: Pick<TlsIdentity, 'certFile' | 'keyFile'>,
): Promise<TlsIdentity | undefined> {
  const { certFile, keyFile } = files;
  if (certFile === '' && keyFile === '') return undefined;
  if (certFile === '' || keyFile === '') {
    const [given, missing] =
      keyFile === '' ? ['API.TLS.CertFile', 'API.TLS.KeyFile'] : ['API.TLS.KeyFile', 'API.TLS.CertFile'];
    throw new NodeError(
      'ConfigInvalid',
      `TLS needs a certificate and its key: ${given} is set, ${missing} is not`,
    );
  }
  const [cert, key] = await Promise.all([
    readPem('API.TLS.CertFile', certFile),
    readPem('API.TLS.KeyFile', keyFile),
  ]);
  const certificate = parsed(
    'API.TLS.CertFile',
    certFile,
    'a PEM certificate',
    () => new X509Certificate(cert),
  );
  const privateKey = parsed('API.TLS.KeyFile', keyFile, 'a PEM private key without a passphrase', () =>
    createPrivateKey(key),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new NodeError(
      'ConfigInvalid',
      `the key in ${keyFile} (API.TLS.KeyFile) is not that of the certificate in ${certFile} (API.TLS.CertFile)`,
    );
  }
  return { certFile, keyFile, cert, key };
}

async function readPem(setting: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new NodeError('ConfigInvalid', `${setting}: cannot read ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function parsed<T>(setting: string, file: string, expected: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new NodeError('ConfigInvalid', `${setting}: ${file} is not ${expected}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
