import { shortId } from '../../core/ids.ts';
import type { ExecutionHeader } from '../../core/item.ts';

/** Label with the id of the node that owns a container or a network. */
export const NODE_LABEL = 'bacalhau-nodeID';
const JOB_LABEL = 'bacalhau-jobID';
export const EXECUTION_LABEL = 'bacalhau-executionID';

/** How a node's containers are found again after a restart. */
export function containerLabels(nodeId: string, header: ExecutionHeader): Record<string, string> {
  return {
    [NODE_LABEL]: nodeId,
    [JOB_LABEL]: header.jobId,
    [EXECUTION_LABEL]: header.executionId,
  };
}

/** One execution has one container at most, so its name says which. */
export function containerName(nodeId: string, header: ExecutionHeader): string {
  return `bacalhau-${shortId(nodeId)}-${header.jobId}-${header.executionId}`;
}
