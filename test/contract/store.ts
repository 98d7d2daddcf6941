import { after, before, describe } from 'node:test';
import { computeContract } from './store-compute.ts';
import { environmentContract, type StoreFactory } from './store-environment.ts';
import { requesterContract } from './store-requester.ts';

/** What every kind of environment, and both stores over it, must do. */
export function storeContract(kind: string, makeFactory: () => Promise<StoreFactory>): void {
  describe(`store over ${kind}`, () => {
    let factory: StoreFactory;
    before(async () => {
      factory = await makeFactory();
    });
    after(() => factory.dispose());
    describe('environment', () => environmentContract(() => factory));
    describe('compute store', () => computeContract(() => factory));
    describe('requester store', () => requesterContract(() => factory));
  });
}
