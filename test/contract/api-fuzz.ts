import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ApiServer } from '../../src/net/api/adapter.ts';
import { serverOptions } from '../../src/net/api/api.ts';
import { createRoutes } from '../../src/net/api/routes.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import {
  apiOptions,
  ScriptedCompute,
  ScriptedIngest,
  ScriptedNode,
  ScriptedRequester,
  silent,
} from '../support/api-doubles.ts';
import { ScriptedEvents } from '../support/events.ts';
import { Attacker } from '../support/fuzz/attacker.ts';
import { Random } from '../support/fuzz/random.ts';
import { BODY_LIMIT } from '../support/served-api.ts';
import type { ServerUnderTest } from '../support/server-under-test.ts';

/** Requests and WebSocket frames. */
const INPUTS = 20_000;
const ATTACKERS = 24;
/** Connections that say nothing more until the server gives up on them. */
const STALLED = 24;
/** Growth of a round that is none: caches, the fragmentation of the allocator. A leak of 200 bytes an input is more. */
const HEAP_GROWTH_BYTES = 4_194_304;
const RSS_GROWTH_BYTES = 16_777_216;
/** By then there must have been one without growth. */
const ROUNDS = 5;

const collectGarbage = ((): (() => void) => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();

async function memory(): Promise<{ heap: number; rss: number; files: number }> {
  for (let round = 0; round < 3; round += 1) {
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss, files: (await readdir('/proc/self/fd')).length };
}

/** No server falls, fails without an id or grows, whatever it is sent. FUZZ_SEED repeats a run. */
export function apiFuzz({ name, create: createServer }: ServerUnderTest): void {
  describe(`fuzzed: ${name}`, () => {
    const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
    const requester = new ScriptedRequester();
    const compute = new ScriptedCompute();
    const ingest = new ScriptedIngest();
    const metrics = createMetrics({ version: 'test', processMetrics: false });
    let server: ApiServer;
    let port = 0;

    before(async () => {
      compute.archive = Buffer.alloc(300_000, 7);
      const events = new ScriptedEvents();
      const modules = {
        ...{ requester, compute, ingest, node: new ScriptedNode() },
        ...{ events: events.hub, logger: silent },
      };
      const options = {
        ...serverOptions(apiOptions),
        bodyBytes: BODY_LIMIT,
        // Longer than the busiest moment of the run: well-formed requests must not run into them.
        headerTimeoutMs: 2000,
        requestTimeoutMs: 4000,
        handlerTimeoutMs: 5000,
        keepAliveTimeoutMs: 1000,
        pingIntervalMs: 200,
      };
      server = createServer(options, { routes: createRoutes(apiOptions, modules), logger: silent, metrics });
      ({ port } = await server.listen('127.0.0.1', 0));
    });
    after(() => server.close(Date.now() + 1000));

    const untilQuiet = async (): Promise<void> => {
      const deadline = Date.now() + 20_000;
      const open = /bacalhau_(?:http_connections|websockets\{[^}]*\}) [1-9]/;
      while (open.test(await metrics.render())) {
        assert.ok(Date.now() < deadline, `still open: ${(await metrics.render()).match(open)?.[0]}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const run = async (attackerSeed: number): Promise<Attacker> => {
      const random = new Random(attackerSeed);
      const attacker = new Attacker(port, random, () => {
        requester.error = random.chance(0.05) ? new TypeError('secret of the inside') : undefined;
      });
      const slow = Array.from({ length: STALLED }, () => attacker.stall());
      await Promise.all(Array.from({ length: ATTACKERS }, () => attacker.attack(INPUTS)));
      await Promise.all(slow);
      await untilQuiet();
      // What the doubles remember is not the server's.
      for (const kept of [requester.calls, ingest.submissions, compute.calls, compute.opened])
        kept.length = 0;
      return attacker;
    };

    it(`takes ${INPUTS} requests and frames, and as many again without growing`, async (t) => {
      const round = async (number: number): Promise<Awaited<ReturnType<typeof memory>>> => {
        const attacker = await run(seed + number);
        t.diagnostic(`round ${number}, seed ${seed}: ${attacker.summary()}`);
        assert.deepEqual(attacker.faults, [], `seed ${seed}`);
        assert.ok(attacker.inputs >= INPUTS);
        const reply = await fetch(`http://127.0.0.1:${port}/api/v1/agent/alive`);
        assert.equal(await reply.text(), '{"Status":"OK"}');
        return memory();
      };
      // The first rounds pay for what is compiled and allocated once; then it must end.
      let before = await round(1);
      for (let number = 2; ; number += 1) {
        const now = await round(number);
        const [heap, rss] = [now.heap - before.heap, now.rss - before.rss];
        t.diagnostic(`round ${number}: heap ${mib(heap)}, rss ${mib(rss)} more`);
        assert.ok(now.files <= before.files + 5, `open files: ${before.files}, then ${now.files}`);
        if (heap < HEAP_GROWTH_BYTES && rss < RSS_GROWTH_BYTES) break;
        assert.ok(number < ROUNDS, `still growing: heap by ${mib(heap)}, rss by ${mib(rss)}`);
        before = now;
      }
    });
  });
}

function mib(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
