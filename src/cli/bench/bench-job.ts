import { newJobId } from '../../core/ids.ts';
import type { JobSpec, Task } from '../../core/job.ts';
import { HELLO_WASM_BASE64 } from '../hello-wasm.ts';
import { submissionBody } from '../submit.ts';

/** Engines that a bench asks for: a module that prints a line, or nothing but the way there and back. */
export const BENCH_ENGINES = ['wasm', 'mock'] as const;

export type BenchEngine = (typeof BENCH_ENGINES)[number];

/** Small enough that a machine takes many. */
const RESOURCES = { CPU: '100m', Memory: '16mb', Disk: '1mb' } as const;
const MODULE = 'main.wasm';

function engineOf(engine: BenchEngine): Pick<Task, 'Engine' | 'InputSources'> {
  if (engine === 'mock') return { Engine: { Type: 'mock', Params: {} } };
  return {
    Engine: { Type: 'wasm', Params: { EntryModule: MODULE, Entrypoint: '_start' } },
    InputSources: [
      {
        Source: {
          Type: 'inline',
          Params: { URL: `data:application/wasm;base64,${HELLO_WASM_BASE64}` },
        },
        Alias: '',
        Target: MODULE,
      },
    ],
  };
}

/** Body of a submission of such a job, which gets its id and name from the node. */
export function benchSubmission(engine: BenchEngine): Uint8Array {
  const { ID: _id, Name: _name, ...job } = benchJob(engine);
  return Buffer.from(JSON.stringify(submissionBody(job, { force: false })));
}

/** One of a bench's jobs, as a node keeps it. */
export function benchJob(engine: BenchEngine): JobSpec {
  const ID = newJobId();
  return {
    ID,
    Name: ID,
    Namespace: 'default',
    Type: 'batch',
    Priority: 0,
    Count: 1,
    Constraints: [],
    Meta: {},
    Labels: { bench: engine },
    Tasks: [
      {
        Name: 'main',
        ...engineOf(engine),
        Publisher: { Type: '' },
        Resources: { ...RESOURCES },
        Network: { Type: 'None' },
        Timeouts: {},
      },
    ],
  };
}
