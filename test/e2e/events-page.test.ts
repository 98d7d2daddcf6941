import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Page, startBrowser } from '../support/browser.ts';
import { mockJob } from '../support/jobs.ts';
import { ROOT } from '../support/markdown.ts';
import { startTestNode, type TestNode, waitUntil } from '../support/node.ts';
import { findChromium } from '../support/services/chromium.ts';
import { freePort } from '../support/services/service.ts';

const PAGE = join(ROOT, 'examples/events.html');

interface Row {
  readonly seq: number;
  readonly type: string;
  readonly state: string;
  readonly title: string;
}

/** The rows of the page, oldest first. */
const rowsOf = async (page: Page): Promise<Row[]> => {
  const rows = await page.evaluate<Row[]>(`[...document.querySelectorAll('#rows tr')].map((row) => ({
    seq: Number(row.dataset.seq), type: row.cells[3].textContent, state: row.cells[5].textContent, title: row.cells[4].title,
  }))`);
  return rows.reverse();
};
const status = (page: Page): Promise<string> =>
  page.evaluate(`document.getElementById('status').textContent`);
const press = (page: Page): Promise<void> => page.evaluate(`document.getElementById('connect').click()`);

/** Serves the page as any file server would, from another port than the node's. */
async function servePage(t: TestContext): Promise<string> {
  const server = createServer((_request, response) => {
    readFile(PAGE).then(
      (body) => response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://localhost:${(server.address() as AddressInfo).port}/events.html`;
}

async function keepScreenshot(page: Page, name: string): Promise<void> {
  const folder = process.env['BACALHAU_TEST_SCREENSHOTS'];
  if (folder !== undefined) await writeFile(join(folder, `${name}.png`), await page.screenshot());
}

test('examples/events.html in Chromium', { timeout: 120_000 }, async (t) => {
  const chromium = await findChromium();
  if (chromium === undefined) {
    console.warn('SKIPPED: examples/events.html: no Chromium (BACALHAU_TEST_CHROMIUM)');
    t.skip('no Chromium');
    return;
  }
  const port = await freePort();
  const node: TestNode = await startTestNode(t, { flags: ['--api-port', String(port)] });
  const url = await servePage(t);
  const page = await startBrowser(t, chromium);
  await page.open(`${url}?url=${encodeURIComponent(`ws://127.0.0.1:${port}`)}`);
  const until = <T>(check: () => Promise<T | undefined | false>, what: string): Promise<T> =>
    waitUntil(check, what, 20_000, 50);

  await t.test('connects, and shows a job while it runs', async () => {
    await press(page);
    await until(async () => (await status(page)) === 'Connected', 'the page is connected');
    const id = await node.submit(mockJob());
    const rows = await until(async () => {
      const found = await rowsOf(page);
      return found.some(({ type, state }) => type === 'job' && state === 'Running → Completed') && found;
    }, 'the job is shown as completed');
    assert.ok(rows.some(({ type, title }) => type === 'execution' && title.startsWith(id)));
    assert.deepEqual(
      rows.map(({ seq }) => seq),
      rows.map(({ seq }) => seq).toSorted((a, b) => a - b),
    );
    await keepScreenshot(page, 'events-light');
  });

  await t.test('comes again by itself behind the last event, over kill -9', async () => {
    const before = await rowsOf(page);
    await node.kill9();
    await until(
      async () => (await status(page)).startsWith('Connection lost'),
      'the page says that it lost the node',
    );
    await node.restart();
    await until(async () => (await status(page)) === 'Connected', 'the page is connected again');
    await node.waitForJob(await node.submit(mockJob()));
    const rows = await until(async () => {
      const found = await rowsOf(page);
      return (
        found.filter(({ state }) => state === 'Running → Completed').length >=
          before.filter(({ state }) => state === 'Running → Completed').length + 3 && found
      );
    }, 'the second job is shown');
    const seqs = rows.map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      [...new Set(seqs)].sort((a, b) => a - b),
      'once, in order',
    );
    assert.deepEqual(
      seqs.slice(0, before.length),
      before.map(({ seq }) => seq),
      'what was shown stays',
    );
    assert.equal(seqs.at(-1), (seqs[0] ?? 0) + seqs.length - 1, 'nothing is missing');
  });

  await t.test('filters, from the beginning of what is stored', async () => {
    await press(page);
    await page.evaluate(`(() => {
      document.getElementById('clear').click();
      for (const box of document.querySelectorAll('#type input')) box.checked = box.value === 'job';
      document.getElementById('begin').value = 'all';
    })()`);
    await press(page);
    const rows = await until(async () => {
      const found = await rowsOf(page);
      return found.length >= 6 && found;
    }, 'the stored events of both jobs are shown');
    assert.deepEqual([...new Set(rows.map(({ type }) => type))], ['job']);
  });

  await t.test('shows nothing of a job as markup', async () => {
    const name = '<img src=x onerror="window.broken = true">';
    await node.submit(mockJob({ FailWith: 'OutOfMemory' }, { name }));
    await until(
      async () => (await rowsOf(page)).some(({ state }) => state.endsWith('Failed')),
      'the failure is shown',
    );
    assert.equal(
      await page.evaluate('window.broken === undefined && document.querySelector("img") === null'),
      true,
    );
  });

  await t.test('is light or dark as the system is', async () => {
    const ground = (): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor');
    await page.preferColours('light');
    const light = await ground();
    await page.preferColours('dark');
    const dark = await ground();
    assert.notEqual(light, dark);
    await keepScreenshot(page, 'events-dark');
    await page.evaluate(`document.getElementById('theme').click()`);
    assert.equal(await ground(), light, 'the button takes the other one');
  });

  await t.test('EventSource reads the same, and goes on from its last id', async () => {
    const source = `http://127.0.0.1:${port}/api/v1/events?from=1&type=job`;
    const [id, to] = await page.evaluate<[string, string]>(`new Promise((resolve, reject) => {
      const events = new EventSource(${JSON.stringify(source)});
      events.onerror = () => reject(new Error('refused'));
      events.addEventListener('job', ({ lastEventId, data }) => {
        events.close();
        resolve([lastEventId, JSON.parse(data).to]);
      });
    })`);
    assert.deepEqual([id, to], ['2', 'Pending']);
  });

  await t.test('a page of another site reads nothing, by whatever name it calls the node', async () => {
    await page.open(url.replace('localhost', 'evil.example'));
    for (const host of ['127.0.0.1', 'localhost', 'evil.example']) {
      const [code, elements] = await page.evaluate<[number, string[]]>(`new Promise((resolve) => {
        const elements = [];
        const socket = new WebSocket('ws://${host}:${port}/api/v1/events?from=1');
        socket.onmessage = ({ data }) => elements.push(...JSON.parse(data).flatMap(Object.keys));
        socket.onclose = ({ code }) => resolve([code, elements]);
      })`);
      assert.deepEqual([code, elements], [4403, ['error']], host);
      const source = `http://${host}:${port}/api/v1/events?from=1`;
      const fetched = await page.evaluate<number>(
        `fetch(${JSON.stringify(source)}).then(({ status }) => status, () => 0)`,
      );
      assert.ok(fetched === 403 || fetched === 0, `${host}: ${fetched}`);
    }
    await page.open(url);
  });

  await t.test(
    'says why a node refuses it: a bad filter, and a page that any site could have made',
    async () => {
      await page.evaluate(`(() => {
        document.getElementById('url').value = 'ws://127.0.0.1:${port}';
        document.getElementById('job').value = 'nonsense';
      })()`);
      await press(page);
      await until(
        async () => (await status(page)).startsWith('invalid job: "nonsense"'),
        'the page says what is wrong',
      );
      await page.open(`file://${PAGE}?url=${encodeURIComponent(`ws://127.0.0.1:${port}`)}`);
      await press(page);
      const text = await until(async () => {
        const now = await status(page);
        return now.startsWith('pages of origin') && now;
      }, 'the page from a file is refused');
      assert.match(text, /"null".*API\.AllowedOrigins/);
    },
  );

  assert.deepEqual(page.faults, []);
});
