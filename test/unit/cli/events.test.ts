import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { runCli } from '../../../src/cli/program.ts';
import { eventOf, type NodeEvent } from '../../../src/events/event.ts';
import { JOB_ID, ScriptedIngest, ScriptedRequester } from '../../support/api-doubles.ts';
import { type CliRun, cli, testContext } from '../../support/cli.ts';
import { ScriptedEvents, testExecutionId, testJobId, testNodeId, testRow } from '../../support/events.ts';
import { waitUntil } from '../../support/node.ts';
import { ServedEvents } from '../../support/served-events.ts';

const ESCAPE = '\u001b';

describe('bacalhau events', () => {
  let served: ServedEvents;
  const requester = new ScriptedRequester();
  beforeEach(async () => {
    served = new ServedEvents({}, { requester, ingest: new ScriptedIngest() });
    await served.start();
    served.append(10);
  });
  afterEach(() => served.stop());

  const run = (words: readonly string[], options: Parameters<typeof cli>[1] = {}): Promise<CliRun> =>
    cli(['events', '--api-host', served.url, ...words], options);
  const all = ['--since', '1', '--no-follow'];

  it('prints a line an event, in colours only where they are wanted', async () => {
    const plain = await run(all);
    assert.equal(plain.code, 0, plain.stderr);
    const lines = plain.stdout.trimEnd().split('\n');
    assert.equal(lines.length, 10);
    assert.match(
      lines[0] ?? '',
      /^\d\d:\d\d:\d\d\.\d{3} {2}#1 {2}requester {2}execution {3}e-00000001 {2}Created → Running {2}event 1 é "quoted"$/,
    );
    assert.doesNotMatch(plain.stdout, new RegExp(ESCAPE));
    assert.match((await run(all, { tty: true })).stdout, new RegExp(ESCAPE));
    assert.equal((await run(all, { tty: true, env: { NO_COLOR: '1' } })).stdout, plain.stdout);
  });

  it('prints JSON an object a line, and YAML a document each', async () => {
    const expected = served.events.all().map(eventOf);
    const json = await run([...all, '--output', 'json']);
    assert.deepEqual(
      json.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      expected,
    );
    const yaml = await run([...all, '--output', 'yaml']);
    assert.deepEqual(
      parseAllDocuments(yaml.stdout).map((document) => document.toJS() as unknown),
      expected,
    );
  });

  it('passes filters on, repeated or with commas, and finds a job by its name', async () => {
    const seqs = async (...words: string[]): Promise<number[]> => {
      const { stdout, stderr, code } = await run([...all, '--output', 'json', ...words]);
      assert.equal(code, 0, stderr);
      return stdout.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as NodeEvent).seq));
    };
    assert.deepEqual(await seqs('--job', testJobId(1), '--job', 'j-00000003'), [1, 3]);
    assert.deepEqual(await seqs('--execution', `${testExecutionId(2)},${testExecutionId(4)}`), [2, 4]);
    assert.deepEqual(await seqs('--node', testNodeId(0), '--role', 'compute'), [6]);
    assert.deepEqual(await seqs('--type', 'job,node'), []);
    // The one that the name leads to.
    assert.equal(JOB_ID, testJobId(1));
    assert.deepEqual(await seqs('--job', 'my-job'), [1]);
    assert.deepEqual(requester.calls.at(-1)?.arguments.slice(0, 1), ['my-job']);
  });

  it('begins at a seq, at a time, or so long ago', async () => {
    const count = async (since: string): Promise<number> =>
      (await run(['--since', since, '--no-follow'])).stdout.split('\n').length - 1;
    assert.equal(await count('8'), 3);
    const eighth = new Date(testRow(8, 'compute').time / 1000).toISOString();
    assert.equal(await count(eighth), 3);
    assert.equal(await count('100000h'), 10);
    assert.equal(await count('1ms'), 0);
  });

  it('says what is wrong, and does not try again', async () => {
    for (const [words, message] of [
      [
        ['--type', 'jobs'],
        /^Error: invalid type: "jobs" \(expected one of job, execution, evaluation, node\)\n/,
      ],
      [['--since', '99'], /^Error: invalid from: 99 /],
      [['--since', 'soon'], /^Error: --since: "soon" is no duration such as 10m, no time /],
      [['--job', 'j-1'], /^Error: invalid job: "j-1"/],
    ] as const) {
      const { code, stderr, stdout } = await run(words);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.equal(stdout, '');
    }
    await served.stop();
    const { code, stderr } = await run([]);
    assert.equal(code, 1);
    assert.match(stderr, /no node answers at /);
    await served.start();
  });

  it('warns of a gap on stderr, and puts it between JSON objects', async () => {
    served.events.compute.lost = 5;
    const text = await run(all);
    assert.equal(
      text.stderr,
      'Warning: events #1 to #4 of the compute role are no longer stored, if there were any\n',
    );
    const json = await run([...all, '--output', 'json']);
    assert.equal(json.stdout.split('\n')[0], '{"gap":{"role":"compute","from":1,"to":4}}');
  });

  it('connects again behind the last event, and ends with Ctrl+C', async () => {
    const { context, printed, interrupt } = testContext();
    const ended = runCli(['events', '--api-host', served.url, '--output', 'json'], context);
    const seqs = (): number[] =>
      printed.stdout.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as NodeEvent).seq));
    await served.subscribed(1);
    await served.stop();
    // What happens while nobody listens, even before the first event was shown.
    served.append(3);
    await served.start();
    await waitUntil(() => seqs().length === 3, 'events of the time between are shown');
    await served.stop();
    await served.start();
    served.append(2);
    await waitUntil(() => seqs().length === 5, 'so are later ones');
    assert.deepEqual(seqs(), [11, 12, 13, 14, 15]);
    assert.match(
      printed.stderr,
      /^Connection lost \(closed with code 1001: the node is stopping\); trying again in 0\.25 s\.\n/,
    );
    assert.match(printed.stderr, /Connected again\.\n/);
    const before = printed.stderr;
    interrupt();
    assert.equal(await ended, 130);
    assert.equal(printed.stderr, before);
  });

  it('begins anew where the node has another store now', async () => {
    const { context, printed, interrupt } = testContext();
    const ended = runCli(['events', '--api-host', served.url, '--since', '9'], context);
    await waitUntil(() => printed.stdout.includes('#10'), 'the first life is shown');
    await served.stop();
    served.events = new ScriptedEvents();
    await served.start();
    served.append(2);
    await waitUntil(() => printed.stdout.includes('#2 '), 'the second life is shown');
    assert.match(
      printed.stderr,
      /The node has other events now: invalid from: 11 .* All that it has follow\./,
    );
    interrupt();
    assert.equal(await ended, 130);
  });
});
