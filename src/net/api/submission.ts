import type { Submission } from '../../core/ports.ts';
import type { HttpRequest } from './adapter.ts';

/** A request that brings a job, as the ingest stage takes it. */
export function submissionOf(request: HttpRequest, body: Uint8Array): Submission {
  const type = request.header('content-type');
  const semicolon = type.indexOf(';');
  return {
    body,
    contentType: (semicolon < 0 ? type : type.slice(0, semicolon)).trim().toLowerCase(),
    clientInstanceId: request.header('x-bacalhau-instanceid'),
    clientInstallationId: request.header('x-bacalhau-installationid'),
  };
}
