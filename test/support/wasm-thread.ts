import { parentPort, workerData } from 'node:worker_threads';
import { toErrorData } from '../../src/core/errors.ts';
import type { RunRequest } from '../../src/engines/engine.ts';
import { WasmEngine } from '../../src/engines/wasm/engine.ts';

/** Thread of a ThreadedWasmEngine: runs one request and tells what happens. */
const port = parentPort;
if (port === null) throw new Error('this file is the thread of a test');
const { request } = workerData as { request: RunRequest };
new WasmEngine()
  .run(request, {
    signal: new AbortController().signal,
    report: (report) => port.postMessage({ report }),
  })
  .then(
    (result) => port.postMessage({ result }),
    (thrown: unknown) => port.postMessage({ error: toErrorData(thrown) }),
  );
