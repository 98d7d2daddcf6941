import { LedgerView } from '../../../capacity/ledger-view.ts';
import { READER, type SharedLedger } from '../../../capacity/ledger-words.ts';
import { formatResources } from '../../../core/resources.ts';
import { type QuickStrategy, YES } from '../strategy.ts';

/** There is room for the request at this moment. A look only: the room is reserved after the last yes. */
export function availableCapacity(shared: SharedLedger): QuickStrategy {
  const ledger = new LedgerView(shared, READER);
  return {
    speed: 'quick',
    code: 'no_room',
    decide: ({ resources }) => {
      if (ledger.fitsQueue(resources)) return YES;
      const requested = formatResources(resources);
      const available = formatResources(ledger.open());
      return {
        kind: 'no',
        final: false,
        reason: `have capacity to run the job (${requested} requested but only ${available} is available)`,
        requested,
        available,
      };
    },
  };
}
