import { NodeError } from '../../../core/errors.ts';
import type { IngestPort } from '../../../core/ports.ts';
import type { RequesterService } from '../../../requester/service.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';
import { fieldsOf } from '../body.ts';
import { clientNeeds } from '../client-version.ts';
import { fragment, page } from '../page.ts';
import { choice, encodeToken, flag, pagingToken, text, unsigned } from '../query.ts';
import { json, jsonText } from '../reply.ts';
import { submissionOf } from '../submission.ts';
import { jobToWire } from '../wire/job.ts';
import { executionsOf, historyOf, jobLookup } from './job-details.ts';

const JOBS = '/api/v1/orchestrator/jobs';
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
const ORDERS: readonly string[] = ['created_at', 'modified_at'];

/** Submitting, listing, stopping and repeating jobs. */
export function jobRoutes(requester: RequesterService, ingest: IngestPort): Route[] {
  const submit = async (request: HttpRequest): Promise<HttpReply> => {
    const { jobId, evaluationId, warnings } = await ingest.submit(
      submissionOf(request, await request.body()),
    );
    return json({ JobID: jobId, EvaluationID: evaluationId, Warnings: orNull(warnings) });
  };

  const diff = async (request: HttpRequest): Promise<HttpReply> => {
    const job = await ingest.check(submissionOf(request, await request.body()));
    if (job.header.name === job.header.id) {
      throw new NodeError(
        'ValidationFailed',
        'missing job name: a job is compared with the stored one of its name',
      );
    }
    const { diff: difference, warnings } = await requester.diff(job);
    return json({ Diff: difference, Warnings: [...job.warnings, ...warnings] });
  };

  const search = async (request: HttpRequest): Promise<HttpReply> => {
    const token = pagingToken(request.query);
    const asked = choice(request.query, 'order_by', ORDERS);
    // A token says how the list it goes on with was ordered: that counts.
    const orderBy = token === undefined ? asked : (ORDERS.find((order) => order === token.orderBy) ?? '');
    const reverse = token?.reverse ?? flag(request.query, 'reverse');
    const limit = token?.limit ?? unsigned(request.query, 'limit');
    const size = limit === 0 ? DEFAULT_PAGE : Math.min(limit, MAX_PAGE);
    const offset = token?.offset ?? 0;
    const { items, more } = await requester.jobs({
      namespace: text(request.query, 'namespace') || '*',
      labels: request.query.getAll('labels').filter((label) => label !== ''),
      offset,
      limit: size,
      orderBy,
      reverse,
    });
    const { text: list, count } = fragment(items, jobToWire);
    const left = more || count < items.length;
    const next = left ? encodeToken({ orderBy, reverse, limit: size, offset: offset + count }) : '';
    return jsonText(page(list, next, 'Jobs', clientNeeds(request)));
  };

  const get = async (request: HttpRequest): Promise<HttpReply> => {
    const { id, namespace, version } = jobLookup(request);
    const include = text(request.query, 'include').split(',');
    const view = await requester.job(id, namespace, version === 0 ? undefined : version);
    const needs = clientNeeds(request);
    const parts = [`"Job":${JSON.stringify(jobToWire(view))}`];
    const found = { id: view.record.id, namespace: view.record.namespace, version: view.record.version };
    if (include.includes('history')) {
      const { items } = await historyOf(requester, found, { limit: DEFAULT_PAGE }, needs);
      parts.push(`"History":${page(JSON.stringify(items), '', 'History', needs)}`);
    }
    if (include.includes('executions')) {
      const items = await executionsOf(requester, found, {});
      parts.push(`"Executions":${page(JSON.stringify(items), '', 'Executions', needs)}`);
    }
    return jsonText(`{${parts.join(',')}}`);
  };

  const stop = async (request: HttpRequest): Promise<HttpReply> => {
    const fields = await fieldsOf(request);
    const reason = fields.text('reason') || text(request.query, 'reason');
    const { evaluationId } = await requester.stop(
      request.params['id'] ?? '',
      fields.text('Namespace') || text(request.query, 'namespace') || 'default',
      // The Python SDK spells an absent reason so.
      reason === 'None' ? '' : reason,
    );
    return json({ EvaluationID: evaluationId });
  };

  const rerun = async (request: HttpRequest): Promise<HttpReply> => {
    const fields = await fieldsOf(request);
    const { jobId, jobVersion, evaluationId, warnings } = await requester.rerun(
      request.params['id'] ?? '',
      fields.text('Namespace') || 'default',
      fields.unsigned('JobVersion'),
      fields.text('Reason'),
    );
    return json({
      JobID: jobId,
      JobVersion: jobVersion,
      EvaluationID: evaluationId,
      Warnings: orNull(warnings),
    });
  };

  const role = 'requester';
  return [
    { method: 'PUT', path: JOBS, role, handle: submit },
    { method: 'POST', path: JOBS, role, handle: submit },
    { method: 'GET', path: JOBS, role, handle: search },
    { method: 'PUT', path: `${JOBS}/diff`, role, handle: diff },
    { method: 'GET', path: `${JOBS}/:id`, role, handle: get },
    { method: 'DELETE', path: `${JOBS}/:id`, role, handle: stop },
    // The v1.2 client sends its DELETE as POST.
    { method: 'POST', path: `${JOBS}/:id`, role, handle: stop },
    { method: 'PUT', path: `${JOBS}/:id/rerun`, role, handle: rerun },
  ];
}

function orNull(warnings: readonly string[]): readonly string[] | null {
  return warnings.length === 0 ? null : warnings;
}
