import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Scope } from './node.ts';

/** A page in a browser. */
export interface Page {
  /** Runs JavaScript in the page; its value, which must be JSON. @throws Error with what the page threw */
  evaluate<T>(expression: string): Promise<T>;
  open(url: string): Promise<void>;
  /** "light" or "dark", as the system would say. */
  preferColours(scheme: 'light' | 'dark'): Promise<void>;
  /** PNG. */
  screenshot(): Promise<Buffer>;
  /** What the page has thrown, and nobody has caught. */
  readonly faults: readonly string[];
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

const FLAGS = [
  '--headless=new',
  // Tests run as root, in places without user namespaces.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--remote-debugging-pipe',
  '--window-size=1280,900',
  // Every name is this machine: a test has foreign sites without a network.
  '--host-resolver-rules=MAP *.example 127.0.0.1',
] as const;

/** The DevTools protocol over the pipes 3 and 4 of the browser: JSON texts that end with a zero byte. */
class DevTools {
  readonly #to: Writable;
  readonly #waiting = new Map<number, PromiseWithResolvers<Readonly<Record<string, unknown>>>>();
  readonly #onEvent: (method: string, params: Readonly<Record<string, unknown>>) => void;
  #id = 0;
  session: string | undefined;

  constructor(
    from: Readable,
    to: Writable,
    onEvent: (method: string, params: Readonly<Record<string, unknown>>) => void,
  ) {
    this.#to = to;
    this.#onEvent = onEvent;
    let text = '';
    from.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      const messages = text.split('\0');
      text = messages.pop() ?? '';
      for (const message of messages) this.#take(JSON.parse(message) as Answer);
    });
    from.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the browser has ended'));
    });
  }

  call(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    this.#id += 1;
    const waiting = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    this.#waiting.set(this.#id, waiting);
    const session = this.session === undefined ? {} : { sessionId: this.session };
    this.#to.write(`${JSON.stringify({ id: this.#id, method, params, ...session })}\0`);
    return waiting.promise;
  }

  #take({ id, method, params, result, error }: Answer): void {
    if (id === undefined) {
      this.#onEvent(method ?? '', params ?? {});
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result ?? {});
    else waiting?.reject(new Error(error.message));
  }
}

/** Starts a browser with one empty page. Both go with the scope. */
export async function startBrowser(scope: Scope, path: string): Promise<Page> {
  const profile = await mkdtemp(join(tmpdir(), 'bacalhau-browser-'));
  const child = spawn(path, [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', HOME: profile, TMPDIR: profile },
  });
  const ended = once(child, 'close');
  scope.after(async () => {
    child.kill('SIGKILL');
    await ended;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  const faults: string[] = [];
  const loads: (() => void)[] = [];
  const [, , , to, from] = child.stdio;
  const tools = new DevTools(from as Duplex, to as Duplex, (method, params) => {
    if (method === 'Runtime.exceptionThrown') faults.push(JSON.stringify(params['exceptionDetails']));
    if (method === 'Page.loadEventFired') for (const loaded of loads.splice(0)) loaded();
  });
  const { targetId } = await tools.call('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await tools.call('Target.attachToTarget', { targetId, flatten: true });
  tools.session = String(sessionId);
  await tools.call('Page.enable');
  await tools.call('Runtime.enable');

  return {
    faults,
    async evaluate<T>(expression: string): Promise<T> {
      const options = { expression, awaitPromise: true, returnByValue: true };
      const { result, exceptionDetails } = await tools.call('Runtime.evaluate', options);
      if (exceptionDetails !== undefined)
        throw new Error(`the page threw: ${JSON.stringify(exceptionDetails)}`);
      return (result as { value: T }).value;
    },
    async open(url) {
      const loaded = new Promise<void>((resolve) => loads.push(resolve));
      const { errorText } = await tools.call('Page.navigate', { url });
      if (errorText !== undefined) throw new Error(`${url}: ${String(errorText)}`);
      await loaded;
    },
    async preferColours(scheme) {
      const features = [{ name: 'prefers-color-scheme', value: scheme }];
      await tools.call('Emulation.setEmulatedMedia', { features });
    },
    async screenshot() {
      const { data } = await tools.call('Page.captureScreenshot', { format: 'png' });
      return Buffer.from(String(data), 'base64');
    },
  };
}
