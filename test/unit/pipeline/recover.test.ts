import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ExecutionHeader } from '../../../src/core/item.ts';
import type { Item } from '../../../src/pipeline/item.ts';
import { MAX_ATTEMPTS, type Recovered, recover } from '../../../src/pipeline/recover.ts';
import type { LocalExecution } from '../../../src/store/records.ts';
import { temporaryFolder } from '../../support/folders.ts';
import { waitUntil } from '../../support/node.ts';
import { MACHINE, type PipelineKit, pipelineKit, silentLogger } from '../../support/pipeline.ts';

const RESULT = {
  Stdout: '',
  StdoutTruncated: false,
  stderr: '',
  StderrTruncated: false,
  ExitCode: 0,
  ErrorMsg: '',
} as const;
const NONE: Recovered = { approval: 0, offered: 0, queued: 0, restarted: 0, publishing: 0, givenUp: 0 };

interface Setup extends PipelineKit {
  readonly executions: string;
  readonly archives: string;
  /** "how id" of everything that was put back, in order. */
  readonly put: string[];
  readonly items: Map<string, Item>;
  readonly reaped: () => number;
  /** A record of the life before. */
  found(record: Partial<LocalExecution>, header?: Partial<ExecutionHeader>): string;
  run(dockerAnswers?: boolean): Promise<Recovered>;
}

/** @param room accepted ones that find a place at first */
async function setup(t: TestContext, room = { left: Number.POSITIVE_INFINITY }): Promise<Setup> {
  const kit = pipelineKit();
  const folder = await temporaryFolder(t);
  const [executions, archives] = [join(folder, 'executions'), join(folder, 'results')];
  await mkdir(executions);
  await mkdir(archives);
  const put: string[] = [];
  const items = new Map<string, Item>();
  let reaped = 0;
  const take = (how: string, item: Item): void => {
    put.push(`${how} ${item.id}`);
    items.set(item.id, item);
  };
  return {
    ...kit,
    executions,
    archives,
    put,
    items,
    reaped: () => reaped,
    found: (record, header = {}) => kit.item(header, record).id,
    run: (dockerAnswers = false) =>
      recover({
        store: kit.store,
        logger: silentLogger,
        executionsDirectory: executions,
        archivesDirectory: archives,
        dockerAnswers,
        reapContainers: () => {
          reaped += 1;
          return Promise.resolve(0);
        },
        spine: {
          records: kit.records,
          fitsMachine: (item) => item.header.resources.cpu <= MACHINE.cpu,
          restoreOffered(item) {
            take('offered', item);
            return true;
          },
          approvals: { restore: (item) => take('approval', item) },
          restoreAccepted(item) {
            if (room.left === 0) return false;
            room.left -= 1;
            take('queued', item);
            return true;
          },
          restoreFinished: (item) => take('publishing', item),
          giveUp: (item, why) => take(`given up (${why})`, item),
        },
      }),
  };
}

test('each goes on where its record says it stood, the oldest first', async (t) => {
  const { found, run, put, items, executions } = await setup(t);
  const offered = found({ wait: { kind: 'offered', untilMs: 1, reason: '' } });
  const queued = found({ state: 'BidAccepted' });
  const running = found({ state: 'Running', attempts: 1 });
  const publishing = found({ state: 'Publishing', result: RESULT, attempts: 1 });
  const ended = found({ state: 'Completed' });
  await mkdir(join(executions, publishing, 'results'), { recursive: true });
  assert.deepEqual(await run(), { ...NONE, offered: 1, queued: 1, restarted: 1, publishing: 1 });
  assert.deepEqual(put, [
    `offered ${offered}`,
    `queued ${queued}`,
    `queued ${running}`,
    `publishing ${publishing}`,
  ]);
  assert.ok(!items.has(ended));
  const again = items.get(running);
  assert.deepEqual([again?.record.state, again?.record.attempts], ['BidAccepted', 1]);
  assert.equal(items.get(publishing)?.ran, true);
});

test('results that are not there any more are made again', async (t) => {
  const { found, run, put, items } = await setup(t);
  const id = found({ state: 'Publishing', result: RESULT, attempts: 1 });
  assert.deepEqual(await run(), { ...NONE, restarted: 1 });
  assert.deepEqual(put, [`queued ${id}`]);
  assert.equal(items.get(id)?.result, undefined);
});

test('a failed run whose results were being published fails all the same', async (t) => {
  const { found, run, items, executions } = await setup(t);
  const error = { code: 'ExecutionTimedOut', message: 'too long' } as const;
  const id = found({ state: 'Publishing', error });
  await mkdir(join(executions, id, 'results'), { recursive: true });
  assert.deepEqual(await run(), { ...NONE, publishing: 1 });
  assert.deepEqual(items.get(id)?.failure, error);
});

test('what takes the node down with it is given up in the end', async (t) => {
  const { found, run, put } = await setup(t);
  const last = found({ state: 'Running', attempts: MAX_ATTEMPTS - 1 });
  const over = found({ state: 'Running', attempts: MAX_ATTEMPTS });
  assert.deepEqual(await run(), { ...NONE, restarted: 2, givenUp: 1 });
  assert.deepEqual(put, [
    `queued ${last}`,
    `given up (the node went down ${MAX_ATTEMPTS} times while it ran) ${over}`,
  ]);
});

test('a start that is told of counts as one, whatever comes of it', async (t) => {
  const { found, run, items, records } = await setup(t);
  const id = found({ state: 'Running', attempts: 1 });
  await run();
  const item = items.get(id);
  assert.ok(item !== undefined);
  records.running(item);
  assert.equal(item.record.attempts, 2);
});

test('those beyond a queue that was made shorter come when it has room', async (t) => {
  const room = { left: 2 };
  const { found, run, put } = await setup(t, room);
  const ids = [1, 2, 3, 4].map(() => found({ state: 'BidAccepted' }));
  assert.deepEqual(await run(), { ...NONE, queued: 4 });
  assert.equal(put.length, 2);
  room.left = 2;
  await waitUntil(() => put.length === 4, 'the others were put into the queue');
  assert.deepEqual(
    put,
    ids.map((id) => `queued ${id}`),
  );
});

test('folders of what has ended go, and half-written archives; those of what goes on stay', async (t) => {
  const { found, run, executions, archives } = await setup(t);
  const live = found({ state: 'Running', attempts: 1 });
  const ended = found({ state: 'Failed' });
  const offered = found({ wait: { kind: 'offered', untilMs: 1, reason: '' } });
  for (const id of [live, ended, offered, 'e-unknown'])
    await mkdir(join(executions, id, 'results'), { recursive: true });
  const kept = `${ended}.tar.gz`;
  for (const name of [kept, `.${live}.tar.gz.partial`]) await writeFile(join(archives, name), 'x');
  await run();
  assert.deepEqual(await readdir(executions), [live]);
  assert.deepEqual(await readdir(archives), [kept]);
});

test('containers are looked for where there may be some', async (t) => {
  const { found, run, reaped } = await setup(t);
  found({ state: 'Running', attempts: 1 }, { engine: 'wasm' });
  found({}, { engine: 'docker' });
  await run();
  assert.equal(reaped(), 0, 'an offer has no container, a WASM job neither, and Docker is not there');
  await run(true);
  assert.equal(reaped(), 1, 'a store in memory knows of none, and yet there may be some');
  found({ state: 'BidAccepted' }, { engine: 'docker' });
  await run();
  assert.equal(reaped(), 2, 'its run may have been too short to be told of');
});

test('what the node has no capacity for any more is given up, not left to wait for ever', async (t) => {
  const { found, run, put } = await setup(t);
  const resources = { ...MACHINE, cpu: MACHINE.cpu + 1 };
  const queued = found({ state: 'BidAccepted' }, { resources });
  const offered = found({ wait: { kind: 'offered', untilMs: 1, reason: '' } }, { resources });
  assert.equal((await run()).givenUp, 2);
  const why = 'given up (the node restarted with less capacity than it needs)';
  assert.deepEqual(put, [`${why} ${queued}`, `${why} ${offered}`]);
});
