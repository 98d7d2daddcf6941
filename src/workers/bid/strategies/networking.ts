import type { NetworkType } from '../../../core/job.ts';
import { no, type QuickStrategy, type Verdict, YES } from '../strategy.ts';

const NETWORK = 'run jobs that require network access (see https://docs.bacalhau.org/next-steps/networking)';

export interface NetworkingOptions {
  /** `--job-selection-accept-networked`. */
  readonly acceptNetworked: boolean;
  /** The operator's explicit word that jobs may share the host's network; needs `acceptNetworked` too. */
  readonly allowHostNetwork: boolean;
}

/** Network access only where the operator accepts it. `Default` is what the node gives without being asked. */
export function networking(options: NetworkingOptions): QuickStrategy {
  return {
    speed: 'quick',
    code: 'networking',
    decide: ({ facts: [network] }) => decide(network, options),
  };
}

function decide(type: NetworkType, options: NetworkingOptions): Verdict {
  switch (type) {
    case 'None':
    case 'Default':
      return YES;
    case 'Full':
    case 'Bridge':
      return options.acceptNetworked ? YES : no(NETWORK);
    case 'Host':
      if (!options.acceptNetworked) return no(NETWORK);
      return options.allowHostNetwork
        ? YES
        : no("run jobs that share the host's network (see --job-selection-accept-host-network)");
    case 'HTTP':
      return no('support network type HTTP, only None, Default, Bridge, Full');
  }
}
