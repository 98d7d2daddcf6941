import { newJobId } from '../../core/ids.ts';
import type { JobSpec, Task } from '../../core/job.ts';
import type { AskedJob } from '../../node/bid-asker.ts';
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

/** Makes one job after another that differ in their ids only: the text is made once, because the load must cost little. */
export function benchSpecs(engine: BenchEngine): () => AskedJob {
  const job = benchJob(engine);
  const template = Buffer.from(JSON.stringify(job));
  const places: number[] = [];
  for (let at = template.indexOf(job.ID); at >= 0; at = template.indexOf(job.ID, at + 1)) places.push(at);
  return () => {
    const jobId = newJobId();
    const spec = Buffer.from(template);
    for (const at of places) spec.write(jobId, at, 'latin1');
    return { jobId, spec };
  };
}

/** One of a bench's jobs, as a node keeps it. */
function benchJob(engine: BenchEngine): JobSpec {
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
