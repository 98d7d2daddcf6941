import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { detectCapacity } from './capacity/detect.ts';
import { resolveCapacity } from './capacity/limits.ts';
import { withVariable } from './config/environment.ts';
import { configTree, type NodeConfig } from './config/load.ts';
import { policyOf } from './config/policy.ts';
import { type Clock, systemClock } from './core/clock.ts';
import { NodeError, toErrorData } from './core/errors.ts';
import type { IngestPort } from './core/ports.ts';
import { EventHub } from './events/hub.ts';
import { createIpfsClient } from './ipfs/create.ts';
import { type ApiModules, createApi } from './net/api/api.ts';
import { chooseServer } from './net/api/server.ts';
import { readTlsIdentity } from './net/api/tls.ts';
import { createDelivery, deliveryDefaults } from './net/delivery.ts';
import { loadIdentity } from './net/p2p/identity.ts';
import { Refusals } from './net/refusals.ts';
import { advertisedUrl, checkAddresses, exposureWarnings, freePort, urlOf } from './node/addresses.ts';
import { createComputeRole } from './node/compute-role.ts';
import { descriptorWarning } from './node/descriptors.ts';
import { Downloads } from './node/downloads.ts';
import { observeEvents } from './node/event-metrics.ts';
import { Facts } from './node/facts.ts';
import { startGrowthLimit } from './node/growth.ts';
import { Network } from './node/network.ts';
import { nodePaths } from './node/paths.ts';
import { openStores } from './node/stores.ts';
import { Swarm } from './node/swarm.ts';
import { startTrimming } from './node/trim.ts';
import type { RunningNode } from './node-types.ts';
import { IngestStage } from './pipeline/ingest/stage.ts';
import { createRequester, requesterDefaults } from './requester/requester.ts';
import { Helper } from './subprocess/helper.ts';
import type { Logger } from './telemetry/logger.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { packageVersion } from './version.ts';

/** How long the parts that were started get to end when a later one could not start. */
const UNDO_MS = 5000;

/**
 * Brings a node up: downstream first, the network last. Stops in reverse.
 * @throws NodeError of the part that could not start; what had been started is stopped again
 */
export async function startNode(
  config: NodeConfig,
  modules: {
    readonly logger: Logger;
    /** Default: the machine's. */
    readonly clock?: Clock;
  },
): Promise<RunningNode> {
  const { logger, clock = systemClock } = modules;
  const { dataDir, roles } = config.node;
  const stops: ((deadlineMs: number) => Promise<void>)[] = [];
  const failed = Promise.withResolvers<Error>();
  const onFatal = (error: Error): void => failed.resolve(error);
  let stopped: Promise<void> | undefined;
  const stop = (deadlineMs: number): Promise<void> => {
    stopped ??= (async () => {
      for (const end of stops.toReversed()) {
        await end(deadlineMs).catch((error: unknown) =>
          logger.error({ err: error }, 'a part did not stop cleanly'),
        );
      }
    })();
    return stopped;
  };

  try {
    checkAddresses(config);
    const server = chooseServer(config.api.server, withVariable);
    const tls = await readTlsIdentity(config.api.tlsFiles);
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const identity = await loadIdentity(dataDir);
    const nodeId = identity.peerId;
    const paths = nodePaths(dataDir, nodeId, config.stores);
    const version = packageVersion();
    const metrics = createMetrics({ version, processMetrics: true });
    const instanceId = createHash('sha256').update(`${nodeId} ${hostname()}`).digest('hex');

    const helper = new Helper({}, { logger });
    helper.warm();
    stops.push(() => helper.stop());
    const stores = await openStores(config, nodeId, paths, { logger, clock });
    stops.push(() => stores.close());
    const events = new EventHub({ limits: config.limits }, stores);
    observeEvents(metrics, events);
    const detected = await detectCapacity({ dataDirectory: dataDir }, { runner: helper, logger });
    const plan = resolveCapacity(config.capacity, config.requester.defaultResources, detected);
    const tight = await descriptorWarning(config.limits, plan.total.cpu);
    if (tight !== undefined) logger.warn(tight);
    const apiPort = config.api.port === 0 ? await freePort(config.api.host) : config.api.port;

    const publicUrl = advertisedUrl(config, apiPort);

    const ingest = new IngestStage(
      {
        limits: config.limits,
        threads: config.workers.ingest,
        ingest: {
          nodeId,
          instanceId,
          defaultPublisher: config.requester.defaultPublisher,
          defaultResources: plan.defaults,
          bodyBytes: config.limits.bodyBytes,
        },
      },
      { logger, metrics, onFatal },
    );
    stops.push(() => ingest.stop());
    ingest.runner.warm();

    const refusals = new Refusals({ metrics, logger: logger.child({ module: 'network' }) });
    const onRefusal = refusals.refused;
    const delivery = createDelivery({
      options: { ...deliveryDefaults, nodeId },
      modules: { clock, logger: logger.child({ module: 'delivery' }), onRefusal },
    });
    const swarm = new Swarm(
      { identity, p2p: config.p2p, ipfs: config.ipfs, blocksDirectory: paths.ipfsBlocks },
      { logger: logger.child({ module: 'swarm' }), onHost: (host) => network.open(host) },
    );
    const ipfs = (): ReturnType<typeof createIpfsClient> =>
      createIpfsClient(
        {
          connect: config.ipfs.connect,
          authorization: config.ipfs.authorization,
          blocksDirectory: paths.ipfsBlocks,
        },
        (question) => swarm.answer(question),
      );
    const facts = new Facts(
      { nodeId, version, roles, labels: config.node.labels },
      { post: (info) => network.tell({ type: 'NodeInfo', info }) },
    );
    const network = new Network(
      { nodeId, hello: { roles, version } },
      {
        delivery,
        clock,
        logger: logger.child({ module: 'network' }),
        metrics,
        info: () => facts.info(),
        onRefusal,
      },
    );

    const compute =
      stores.compute === undefined
        ? undefined
        : createComputeRole(
            { nodeId, config, paths, plan, publicUrl },
            {
              ingest,
              store: stores.compute,
              clock,
              logger,
              metrics,
              ipfs,
              post: (to, message) => delivery.post(to, message),
              onRefusal,
              onChange: () => facts.changed(),
              onRoom: (room) => {
                network.tell({ type: 'RoomAnnounced', ...room });
                facts.changed();
              },
              onQuestion: (question) => swarm.answer(question),
              onFatal,
            },
          );
    const requester =
      stores.requester === undefined
        ? undefined
        : createRequester({
            options: {
              ...requesterDefaults,
              askTimeoutMs: askTimeoutMs(config),
              nodeLostTimeoutMs: config.requester.nodeLostTimeoutMs,
              nodeId,
              resultsUrl: `${publicUrl}/results`,
              limits: config.limits,
              defaultResources: plan.defaults,
            },
            modules: {
              store: stores.requester,
              clock,
              logger: logger.child({ module: 'requester' }),
              asks: delivery,
              post: (to, message) => delivery.post(to, message),
              onRefusal,
              outputs: (id) => (id === nodeId ? compute?.compute : network.outputs(id)),
            },
          });
    if (compute !== undefined && stores.compute !== undefined) {
      facts.compute = () => compute.info();
      delivery.connectCompute({ store: stores.compute, handler: compute.compute });
    }
    if (requester !== undefined && stores.requester !== undefined) {
      const { requester: store } = stores;
      delivery.connectRequester({
        store,
        handler: requester,
        wantsAnswer: (jobId, executionId) => requester.wantsAnswer(jobId, executionId),
        known: (ask) => requester.known(ask),
      });
      metrics.observe('bacalhau_outbox_messages', () => [
        { labels: { role: 'requester' }, value: store.outbox.size() },
      ]);
      metrics.observe('bacalhau_jobs', () =>
        Object.entries(store.counts()).map(([state, value]) => ({ labels: { state }, value })),
      );
    }

    network.serve({ requester, compute: compute?.compute });

    // What an earlier life left is taken up before anybody can ask for more.
    if (compute !== undefined) {
      stops.push((deadlineMs) => compute.stop(deadlineMs));
      const recovered = await compute.start();
      if (Object.values(recovered).some((count) => count > 0)) {
        logger.info({ ...recovered }, 'took up executions of before the restart');
      }
    }
    if (requester !== undefined) {
      stops.push((deadlineMs) => requester.component.stop(deadlineMs));
      await requester.recover();
      await requester.component.start();
    }
    stops.push((deadlineMs) => delivery.stop(deadlineMs));
    await delivery.start();
    facts.start();
    stops.push(() => Promise.resolve(facts.stop()));

    const stopTrimming = startTrimming();
    stops.push(() => Promise.resolve(stopTrimming()));
    const stopLimiting = startGrowthLimit();
    stops.push(() => Promise.resolve(stopLimiting()));
    stops.push(() => swarm.stop());
    stops.push((deadlineMs) => network.stop(deadlineMs));
    await swarm.start();
    const downloads = new Downloads(
      { directory: paths.downloads, maxBytes: config.execute.maxResultBytes },
      { client: ipfs },
    );
    await downloads.start();
    const ingestPort: IngestPort | undefined =
      requester === undefined
        ? undefined
        : {
            check: (submission) => ingest.check(submission),
            submit: async (submission) => requester.submit(await ingest.check(submission)),
          };
    const apiModules: ApiModules = {
      options: {
        ...config.api,
        build: facts.build(),
        limits: config.limits,
        ...(tls === undefined ? {} : { tls }),
      },
      node: {
        nodeId,
        info: () => facts.info(),
        config: () => configTree(compute?.effective() ?? config),
        debug: () => ({
          requester: requester?.debug() ?? null,
          delivery: delivery.debug(),
          offer: compute?.health.current() ?? null,
          unavailable: compute?.health.reasons() ?? null,
          peers: swarm.peers(),
          links: network.peers(),
        }),
        metrics: () => metrics.render(),
        ipfsArchive: (cid, signal) => downloads.archive(cid, signal),
      },
      ...(requester === undefined ? {} : { requester }),
      ...(ingestPort === undefined ? {} : { ingest: ingestPort }),
      ...(compute === undefined ? {} : { compute: compute.compute, bids: compute.bids }),
      events,
      logger: logger.child({ module: 'api' }),
      metrics,
    };
    const api = createApi(apiModules, server.create);
    const address = await api.listen(config.api.host, apiPort);
    stops.push((deadlineMs) => api.close(deadlineMs));
    logger.debug({ server: api.name, fallback: server.fallback, ...address }, 'the API listens');

    const offer = compute?.health.current();
    return {
      nodeId,
      apiUrl: urlOf(tls === undefined ? 'http' : 'https', address.host, address.port),
      apiServer: { name: api.name, fallback: server.fallback },
      swarmAddresses: swarm.addresses(),
      engines: offer?.engines ?? [],
      storages: offer?.storages ?? [],
      publishers: offer?.publishers ?? [],
      capacity: compute === undefined ? undefined : plan.total,
      warnings: [...(compute === undefined ? [] : plan.warnings), ...exposureWarnings(config)],
      setPolicy: (next) => compute?.setPolicy(policyOf(next)),
      stop,
      failed: failed.promise,
    };
  } catch (error) {
    await stop(Date.now() + UNDO_MS);
    throw error instanceof NodeError
      ? error
      : new NodeError('Internal', toErrorData(error).message, { cause: error });
  }
}

/** As the operator says; but this node's own probes are waited for. */
function askTimeoutMs({ requester, bid, node }: NodeConfig): number {
  const hasProbe = node.roles.compute && (bid.probeExec !== '' || bid.probeHttp !== '');
  return hasProbe ? Math.max(requester.askTimeoutMs, bid.probeTimeoutMs * 2) : requester.askTimeoutMs;
}
