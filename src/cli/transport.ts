import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import type { Agent } from 'undici';
import type { Trust } from '../config/client.ts';
import { NodeError } from '../core/errors.ts';

/** How a client command reaches its node. */
export interface Transport {
  readonly fetch: typeof fetch;
  /** For WebSockets of the `ws` package. */
  readonly socketOptions: TlsOptions;
}

export interface TlsOptions {
  readonly ca?: string[];
  readonly rejectUnauthorized?: boolean;
}

/** Node's own fetch, or one that judges certificates as told. @throws NodeError ConfigInvalid */
export function transportOf(trust: Trust | undefined): Transport {
  if (trust === undefined) return { fetch, socketOptions: {} };
  const socketOptions: TlsOptions = {
    ...(trust.caFile === '' ? {} : { ca: [...rootCertificates, readAuthority(trust.caFile)] }),
    ...(trust.insecure ? { rejectUnauthorized: false } : {}),
  };
  let agent: Agent | undefined;
  const trusting = async (url: string, init: object = {}): Promise<unknown> => {
    const undici = await import('undici');
    agent ??= new undici.Agent({ connect: socketOptions });
    return undici.fetch(url, { ...init, dispatcher: agent });
  };
  // The same interface in another package: their types know nothing of each other.
  return { fetch: trusting as typeof fetch, socketOptions };
}

function readAuthority(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new NodeError('ConfigInvalid', `cannot read the certificate to trust (--cacert): ${why}`, {
      cause: error,
    });
  }
}
