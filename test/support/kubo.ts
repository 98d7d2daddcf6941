import type { TestContext } from 'node:test';
import { createKuboClient, type KuboClient } from '../../src/ipfs/kubo/client.ts';

/** A Kubo daemon that tests may use. */
export interface TestKubo {
  /** Multiaddr of its RPC. */
  readonly connect: string;
  readonly client: KuboClient;
  /** A multiaddr of its swarm on the loopback, with its peer id. */
  readonly swarm: string;
}

export const NO_KUBO = 'no Kubo daemon for tests: BACALHAU_TEST_KUBO is not set';

/** The Kubo daemon named by the environment; undefined, said loudly, where there is none. Closed after the test. */
export async function testKubo(t: TestContext, stallMs = 10_000): Promise<TestKubo | undefined> {
  const connect = process.env['BACALHAU_TEST_KUBO'] ?? '';
  if (connect === '') {
    console.log(`SKIPPED ${t.name}: ${NO_KUBO}`);
    t.skip(NO_KUBO);
    return undefined;
  }
  const client = createKuboClient({ connect, authorization: '', stallMs });
  t.after(() => client.close());
  return { connect, client, swarm: await swarmAddress(connect) };
}

async function swarmAddress(connect: string): Promise<string> {
  const port = /\/tcp\/(\d+)/.exec(connect)?.[1] ?? '';
  const response = await fetch(`http://127.0.0.1:${port}/api/v0/id`, { method: 'POST' });
  const { Addresses } = (await response.json()) as { Addresses: string[] };
  const address = Addresses.find((candidate) => candidate.startsWith('/ip4/127.0.0.1/tcp/'));
  if (address === undefined) throw new Error('the Kubo daemon does not listen on the loopback');
  return address;
}

/** Adds one file to the daemon, without a folder around it; its CID. */
export async function addToKubo({ connect }: TestKubo, content: Uint8Array): Promise<string> {
  const port = /\/tcp\/(\d+)/.exec(connect)?.[1] ?? '';
  const body = new FormData();
  body.append('file', new Blob([Buffer.from(content)]));
  const response = await fetch(`http://127.0.0.1:${port}/api/v0/add?cid-version=1&quiet=true`, {
    method: 'POST',
    body,
  });
  const { Hash } = (await response.json()) as { Hash: string };
  return Hash;
}
