import { NodeError } from '../../core/errors.ts';
import type { SpecConfig } from '../../core/job.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { Publisher } from '../../publishers/publisher.ts';
import { type Ask, createPublishers } from '../../publishers/registry.ts';
import { type HandlerContext, serve } from '../entry.ts';
import type { Control, WorkBatch } from '../protocol.ts';
import type { PublishInput, PublishOptions, PublishOutput } from './protocol.ts';

/** Thread half of the publish stage: results leave this machine, or become reachable on it. */
const work: (batch: WorkBatch<PublishInput>) => Promise<unknown> = serve<PublishInput, PublishOutput>(
  (raw) => {
    // Made by the composition root, on this side of every edge.
    const options = raw as PublishOptions;
    // Questions do not depend on the item that asks, so the publishers of a thread go through any that is running.
    let running: HandlerContext<never> | undefined;
    const askMain: Ask = (question, signal) => {
      if (running === undefined)
        throw new NodeError('Internal', 'publishers work only while an item is handled');
      return running.ask(question, signal);
    };
    const publishers = createPublishers(options, askMain);

    return {
      async handle(input, context): Promise<Outcome<PublishOutput>> {
        running = context;
        const publisher = pick(publishers, input.publisher);
        try {
          context.signal.throwIfAborted();
          const published = await publisher.publish({
            header: input.header,
            publisher: input.publisher,
            resultsDirectory: input.resultsDirectory,
            signal: context.signal,
          });
          return { kind: 'advance', value: { published } };
        } catch (thrown) {
          if (context.signal.aborted) return stopped(context.signal.reason as Control);
          throw thrown;
        }
      },
    };
  },
);

export default work;

const none: Publisher = { type: '', publish: () => Promise.resolve({ Type: '' }) };

function pick(publishers: ReadonlyMap<string, Publisher>, wanted: SpecConfig): Publisher {
  const type = wanted.Type.toLowerCase();
  if (type === '') return none;
  const publisher = publishers.get(type);
  if (publisher === undefined) {
    throw new NodeError(
      'PublishFailed',
      `publisher ${wanted.Type}: this node has none of that name (it has ${[...publishers.keys()].join(', ')})`,
    );
  }
  return publisher;
}

/** A kill ends the execution; a detach means that the daemon stops and publishes again after its restart. */
function stopped(control: Control): Outcome<PublishOutput> {
  if (control.kind === 'kill' && control.why === 'cancelled')
    return { kind: 'cancelled', reason: control.cause };
  if (control.kind === 'kill') {
    return { kind: 'fail', error: { code: 'ExecutionTimedOut', message: control.cause } };
  }
  return {
    kind: 'fail',
    error: { code: 'ExecutionLost', message: 'the node stopped while the results were published' },
  };
}
