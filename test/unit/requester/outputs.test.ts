import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import type { LogChunk, LogOptions, OpenedArchive, OutputPort } from '../../../src/core/ports.ts';
import { checked, type FakePeer, type Kit, makeKit, OUTPUT, peerOf } from '../../support/requester/kit.ts';
import { turns } from '../../support/requester/manual-clock.ts';

const B = '12D3KooWPeerBPeerBPeerBPeerBPeerBPeerBPeerBPeerBBBBB';
const RESULT = { Type: 'urlDownload', Params: { URL: '' } };

/** Output of one execution, as long as the link is there. */
class Far implements OutputPort {
  text = '';
  isUp = true;
  reads = 0;
  #wake: () => void = () => undefined;
  say(text: string): void {
    this.text += text;
    this.#wake();
  }
  cut(): void {
    this.isUp = false;
    this.#wake();
  }
  async *logs(_id: string, { follow }: LogOptions): AsyncGenerator<LogChunk> {
    this.reads += 1;
    for (let at = 0; ; ) {
      if (!this.isUp) throw new NodeError('NodeOutOfReach', 'the link broke');
      const text = this.text.slice(at, at + 3);
      at += text.length;
      if (text !== '') yield { stream: 'stdout', text };
      else if (!follow || this.text.endsWith('.')) return;
      else await new Promise<void>((resolve) => void (this.#wake = resolve));
    }
  }
  async openArchive(executionId: string): Promise<OpenedArchive> {
    return { stream: Readable.from([executionId]), bytes: executionId.length };
  }
}

async function running(): Promise<{ kit: Kit; b: FakePeer; far: Far; jobId: string }> {
  const far = new Far();
  const kit = await makeKit({ hello: false, outputs: far });
  const b = peerOf(kit, B);
  await b.connect();
  b.node.onAsk = (ask) => void b.node.bid(ask);
  const { jobId } = await kit.requester.submit(checked());
  await turns();
  return { kit, b, far, jobId };
}

async function read(kit: Kit, jobId: string, follow: boolean): Promise<string> {
  let text = '';
  const { signal } = new AbortController();
  for await (const chunk of kit.requester.logs(jobId, '', '', { follow, tail: false }, signal))
    text += chunk.text;
  return text;
}

test('a follower goes on where it was when the link is back', async () => {
  const { kit, far, jobId } = await running();
  const reading = read(kit, jobId, true);
  await turns();
  far.say('one two ');
  await turns();
  far.cut();
  await turns();
  far.text += 'three ';
  for (let second = 0; second < 3; second += 1) {
    kit.clock.advance(1000);
    await turns();
  }
  far.isUp = true;
  kit.clock.advance(1000);
  await turns();
  far.say('four.');
  assert.equal(await reading, 'one two three four.');
  assert.ok(far.reads > 2);
});

test('who does not follow is told that the node is out of reach', async () => {
  const { kit, far, jobId } = await running();
  far.isUp = false;
  await assert.rejects(read(kit, jobId, false), { code: 'NodeOutOfReach' });
});

test('an ended one is read from the job when its node is out of reach', async () => {
  const { kit, b, far, jobId } = await running();
  for (const ask of b.node.asks) await b.node.finish(ask);
  await kit.requester.ended(jobId);
  far.isUp = false;
  assert.equal(await read(kit, jobId, true), 'hi\n');
});

test('archives are fetched through the requester, under its own address', async () => {
  const { kit, b, jobId } = await running();
  const [ask] = b.node.asks;
  const id = ask?.executionId ?? '';
  const URL = `http://127.0.0.1:9/results/${id}.tar.gz`;
  await b.node.reply({
    type: 'RunResult',
    executionId: id,
    jobId,
    result: OUTPUT,
    published: { ...RESULT, Params: { URL, other: 1 } },
  });
  const own = `http://here/results/${id}.tar.gz?job=${jobId}`;
  assert.deepEqual(await kit.requester.results(jobId, ''), [{ ...RESULT, Params: { URL: own, other: 1 } }]);
  const [execution] = await kit.requester.executions(jobId, '', {
    version: 0,
    allVersions: false,
    orderBy: '',
    reverse: false,
    limit: 0,
  });
  assert.equal(execution?.published.Params?.['URL'], own);
  const { signal } = new AbortController();
  const { stream, bytes } = await kit.requester.openResults(jobId, id, signal);
  assert.deepEqual([(await stream.toArray()).join(''), bytes], [id, id.length]);
  await assert.rejects(kit.requester.openResults(jobId, 'e-other', signal), { code: 'ExecutionNotFound' });
});
