import type { NodeConfig } from '../config/load.ts';
import type { Clock } from '../core/clock.ts';
import type { NodeId } from '../core/ids.ts';
import { createSequencer } from '../events/seq.ts';
import type { ComputeStore } from '../store/compute-store.ts';
import type { Environment } from '../store/environment.ts';
import { createComputeStore } from '../store/environment-compute-store.ts';
import { createRequesterStore } from '../store/environment-requester-store.ts';
import { openLmdbEnvironment } from '../store/lmdb-environment.ts';
import { openMemoryEnvironment } from '../store/memory-environment.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import { type HistoryReader, lastSeq } from '../store/role-log.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { NodePaths } from './paths.ts';

/** The stores of the roles this node has. */
export interface Stores {
  readonly compute: ComputeStore | undefined;
  readonly requester: RequesterStore | undefined;
  /** The event logs of those roles. */
  readonly logs: readonly HistoryReader[];
  /** The seq given out last, of both. */
  readonly lastSeq: () => number;
  close(): Promise<void>;
}

/** Opens them; history of both goes on with one sequence. @throws NodeError StoreLocked, StoreForeign, StoreFailed */
export async function openStores(
  config: NodeConfig,
  nodeId: NodeId,
  paths: NodePaths,
  modules: { readonly logger: Logger; readonly clock: Clock },
): Promise<Stores> {
  const { roles } = config.node;
  const opened = await Promise.allSettled([
    roles.compute ? open('compute', config.stores.compute.type, paths.computeStore, nodeId) : undefined,
    roles.requester
      ? open('requester', config.stores.requester.type, paths.requesterStore, nodeId)
      : undefined,
  ]);
  const environments = opened.map((result) => (result.status === 'fulfilled' ? result.value : undefined));
  const failure = opened.find((result) => result.status === 'rejected');
  if (failure !== undefined) {
    await Promise.all(
      environments.flatMap((environment) => (environment === undefined ? [] : [environment.close()])),
    );
    throw failure.reason;
  }
  const [compute, requester] = environments;
  for (const role of ['compute', 'requester'] as const) {
    if (!roles[role] || config.stores[role].type !== 'memory') continue;
    modules.logger.warn(`the state of the ${role} is kept in memory: it is lost when this node ends`);
  }
  const present = environments.flatMap((environment) => (environment === undefined ? [] : [environment]));
  const forgets = present.some((environment) => environment.kind === 'memory');
  // What was given out before is forgotten with a store in memory: the time is later than all of it.
  const sequencer = createSequencer(
    Math.max(forgets ? modules.clock.nowMicros() : 0, ...present.map((environment) => lastSeq(environment))),
  );
  const common = {
    nextSeq: () => sequencer.next(),
    firstSeq: sequencer.last() + 1,
    ownNode: roles.compute && roles.requester ? nodeId : undefined,
  };
  const stores = {
    compute: compute === undefined ? undefined : createComputeStore({ environment: compute, ...common }),
    requester:
      requester === undefined ? undefined : createRequesterStore({ environment: requester, ...common }),
  };
  return {
    ...stores,
    logs: [stores.compute, stores.requester].filter((log) => log !== undefined),
    lastSeq: () => sequencer.last(),
    async close() {
      await Promise.all([stores.compute?.close(), stores.requester?.close()]);
    },
  };
}

async function open(
  role: 'compute' | 'requester',
  type: 'lmdb' | 'memory',
  path: string,
  nodeId: NodeId,
): Promise<Environment> {
  return type === 'memory' ? openMemoryEnvironment() : await openLmdbEnvironment({ path, role, nodeId });
}
