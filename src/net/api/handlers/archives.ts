import { NodeError } from '../../../core/errors.ts';
import { isCompleteId } from '../../../core/ids.ts';
import type { ArchivePort } from '../../../core/ports.ts';
import type { RequesterService } from '../../../requester/service.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';
import { text } from '../query.ts';

const ARCHIVE_SUFFIX = '.tar.gz';

/**
 * Results that the local publisher keeps, as `<execution id>.tar.gz`. A requester hands out those of its jobs
 * (`?job=<job id>`), whichever node has them; without a job it is this node's own that are asked for.
 */
export function archiveRoutes(modules: {
  readonly requester: RequesterService | undefined;
  readonly compute: ArchivePort | undefined;
}): Route[] {
  const { requester, compute } = modules;
  const archive = async (request: HttpRequest): Promise<HttpReply> => {
    const name = request.params['archive'] ?? '';
    const job = text(request.query, 'job');
    const executionId = name.endsWith(ARCHIVE_SUFFIX) ? name.slice(0, -ARCHIVE_SUFFIX.length) : '';
    // Only ids of executions go further: whatever the name holds, it is never part of a path.
    if (!executionId.startsWith('e-') || !isCompleteId(executionId)) {
      throw new NodeError(
        'ExecutionNotFound',
        `no archive ${JSON.stringify(name)} (expected <execution id>.tar.gz)`,
      );
    }
    const opened =
      job !== '' && requester !== undefined
        ? await requester.openResults(job, executionId, request.signal)
        : await compute?.openArchive(executionId, request.signal);
    if (opened === undefined) {
      throw new NodeError(
        'ExecutionNotFound',
        `no archive ${name}: this node runs no jobs, and no job was named (?job=<job id>)`,
      );
    }
    return {
      status: 200,
      headers: {
        'Content-Type': 'application/gzip',
        'Content-Length': String(opened.bytes),
        'Content-Disposition': `attachment; filename="${executionId}${ARCHIVE_SUFFIX}"`,
        'Accept-Ranges': 'none',
      },
      body: opened.stream,
    };
  };
  return [{ method: 'GET', path: '/results/:archive', handle: archive }];
}
