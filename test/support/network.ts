import type { TestContext } from 'node:test';
import { type BreakableLink, linkTo } from './link-proxy.ts';
import { makeSites, type Site, whyNoSites } from './namespaces.ts';
import { startTestNode, type TestNode, type TestNodeOptions, type Wire } from './node.ts';

/** A requester-only node and compute-only ones that joined it. */
export interface TestNetwork {
  readonly requester: TestNode;
  readonly computes: readonly TestNode[];
  /** What is between the requester and each of the compute nodes. */
  readonly links: readonly Pick<BreakableLink, 'cut' | 'mend'>[];
}

export interface TestNetworkOptions {
  /** Flags of each compute node. */
  readonly computes: readonly (readonly string[])[];
  readonly requesterFlags?: readonly string[];
  readonly env?: TestNodeOptions['env'];
  /** Every node on a machine of its own, as far as the network goes. */
  readonly sites?: readonly Site[];
}

/** As many sites as there may be; without the rights for it none, and the test says so. */
export async function sitesIfPossible(t: TestContext, count: number): Promise<readonly Site[] | undefined> {
  const why = await whyNoSites();
  if (why === undefined) return makeSites(t, count);
  t.diagnostic(`on the loopback, not in network namespaces: ${why}`);
  return undefined;
}

/** What the requester says of its link with a node. */
export async function connection(requester: TestNode, nodeId: string): Promise<string> {
  const { status, body } = await requester.api('GET', `/api/v1/orchestrator/nodes/${nodeId}`);
  return status === 200 ? String(((body as Wire)['Node'] as Wire)['Connection']) : '';
}

/** Starts all and waits until the requester knows every compute node. */
export async function startNetwork(t: TestContext, options: TestNetworkOptions): Promise<TestNetwork> {
  const { sites, env = {} } = options;
  const at = (index: number): Pick<TestNodeOptions, 'site'> => {
    const site = sites?.[index];
    return site === undefined ? {} : { site };
  };
  const requester = await startTestNode(t, {
    ...at(0),
    env,
    flags: ['--node-type', 'requester', ...(options.requesterFlags ?? [])],
  });
  const links: Pick<BreakableLink, 'cut' | 'mend'>[] = [];
  const computes = await Promise.all(
    options.computes.map(async (flags, index) => {
      const [address = ''] = requester.swarmAddresses;
      const site = sites?.[index + 1];
      const proxy = site === undefined ? await linkTo(t, address) : undefined;
      const link = proxy ?? site;
      if (link !== undefined) links[index] = link;
      return startTestNode(t, {
        ...at(index + 1),
        env,
        flags: ['--node-type', 'compute', '--peer', proxy?.address ?? address, ...flags],
      });
    }),
  );
  for (const { nodeId } of computes) {
    await requester.waitUntil(
      async () => (await connection(requester, nodeId)) === 'CONNECTED',
      `${nodeId} has joined`,
    );
  }
  return { requester, computes, links };
}

/** The job, for nodes with this label only. */
export function onlyAt(job: Wire, site: string): Wire {
  return { ...job, Constraints: [{ Key: 'site', Operator: 'in', Values: [site] }] };
}
