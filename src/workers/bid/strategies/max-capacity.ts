import type { Resources } from '../../../core/job.ts';
import { fits, formatResources } from '../../../core/resources.ts';
import { type QuickStrategy, type Verdict, YES } from '../strategy.ts';

/** The request is within what one job may have here. */
export function maxCapacity(options: { readonly jobLimit: Resources }): QuickStrategy {
  return {
    speed: 'quick',
    code: 'max_capacity',
    decide: ({ resources }) => withinLimit(resources, options.jobLimit),
  };
}

function withinLimit(request: Resources, limit: Resources): Verdict {
  if (fits(request, limit)) return YES;
  const requested = formatResources(request);
  const available = formatResources(limit);
  return {
    kind: 'no',
    reason: `run jobs that require this many resources (${requested} requested but only ${available} is allowed)`,
    requested,
    available,
  };
}
