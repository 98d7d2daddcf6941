import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { HistoryPage } from '../../../src/requester/service.ts';
import { recordingsFolder } from '../../support/recordings.ts';
import { checked, type Kit, makeKit, NODE } from '../../support/requester/kit.ts';
import { turns } from '../../support/requester/manual-clock.ts';

const missing = existsSync(recordingsFolder) ? false : `the recordings are not at ${recordingsFolder}`;
if (missing !== false) console.log(`SKIPPED: histories as Bacalhau 1.9.3 writes them: ${missing}`);

interface RecordedItem {
  readonly SeqNum: number;
  readonly Type: string;
  readonly Event: {
    readonly Topic: string;
    readonly Message: string;
    readonly Details?: Record<string, string>;
  };
}

/** Sequence number, level, topic, message and keys of the details: what does not depend on the machine. */
type Row = readonly [number, string, string, string, readonly string[]];

const NODE_TEXT = /(n-[0-9a-f]{8}|Node1234)/g;

function recorded(name: string): Row[] {
  const { http } = JSON.parse(readFileSync(join(recordingsFolder, name), 'utf8')) as {
    http: { path: string; responseBody: { Items: RecordedItem[] } | null }[];
  };
  const body = http.find(({ path }) => path.includes('/history'))?.responseBody;
  assert.ok(body);
  return body.Items.map(({ SeqNum, Type, Event }) => [
    SeqNum,
    Type,
    Event.Topic,
    Event.Message.replaceAll(NODE_TEXT, '<node>'),
    Object.keys(Event.Details ?? {}).sort(),
  ]);
}

function rows({ items }: HistoryPage): Row[] {
  return items.map(({ seqNum, level, topic, message, details }) => [
    seqNum,
    level === 'job' ? 'JobLevel' : 'ExecutionLevel',
    topic,
    message.replaceAll(NODE_TEXT, '<node>'),
    Object.keys(details).sort(),
  ]);
}

function history(kit: Kit, jobId: string): Promise<HistoryPage> {
  return kit.requester.history(jobId, '', {
    since: 0,
    eventType: 'all',
    executionId: '',
    jobVersion: 0,
    allVersions: false,
    limit: 0,
    offset: 0,
  });
}

describe('histories as Bacalhau 1.9.3 writes them', { skip: missing }, () => {
  it('of a job that completes', async () => {
    const kit = await makeKit();
    kit.node.runAll();
    const { jobId } = await kit.requester.submit(checked());
    await kit.requester.ended(jobId);
    assert.deepEqual(rows(await history(kit, jobId)), recorded('27-job-history.json'));
  });

  it('of a job whose engine no node has', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked({ engine: 'brainfuck' }));
    const [submitted, failed] = recorded('44-job-run-unknown-engine.json');
    const ours = rows(await history(kit, jobId));
    assert.deepEqual(ours[0], submitted);
    // The engines of that node were others.
    const engines = /, only .*$/;
    assert.deepEqual(
      ours[1]?.map((part) => (typeof part === 'string' ? part.replace(engines, '') : part)),
      failed?.map((part) => (typeof part === 'string' ? part.replace(engines, '') : part)),
    );
  });

  it('of a job that is stopped while it runs', async () => {
    const kit = await makeKit();
    kit.node.onAsk = (ask) => void kit.node.bid(ask);
    kit.node.onAccepted = ({ executionId, jobId }) =>
      void kit.node.reply({ type: 'ExecutionStarted', executionId, jobId });
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    await kit.requester.stop(jobId, '', 'Stopped at user request');
    assert.deepEqual(rows(await history(kit, jobId)), recorded('66-history-stopped-json.json'));
    assert.equal(NODE.slice(-8), 'Node1234');
  });
});
