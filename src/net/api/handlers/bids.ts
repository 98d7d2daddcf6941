import type { BidDecision, BidPort } from '../../../core/bids.ts';
import { NodeError } from '../../../core/errors.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';
import { fieldsOf, objectOf } from '../body.ts';
import { requireLocal } from '../local-only.ts';
import { fragment } from '../page.ts';
import { json, jsonText } from '../reply.ts';
import { readSignedBody } from '../signed-body.ts';
import { submissionOf } from '../submission.ts';
import { explanationToWire, waitingBidToWire } from '../wire/bid.ts';

const COMPUTE = '/api/v1/compute';
const ACTIONS: readonly ['approve', 'reject'] = ['approve', 'reject'];
/** A probe may take ten minutes, and is asked for its word in full. */
const EXPLAIN_MS = 660_000;

/** Bids that wait for an operator, and the policy that decides on all others. */
export function bidRoutes(bids: BidPort): Route[] {
  const list = (): HttpReply => jsonText(`{"Items":${fragment(bids.waiting(), waitingBidToWire).text}}`);

  const decide = async (request: HttpRequest): Promise<HttpReply> => {
    requireLocal(request);
    const fields = await fieldsOf(request);
    const wanted = fields.text('Action').toLowerCase();
    const action = ACTIONS.find((one) => one === wanted);
    if (action === undefined) {
      throw new NodeError(
        'MalformedBody',
        `unknown Action ${JSON.stringify(wanted)} (expected ${ACTIONS.join(', ')})`,
      );
    }
    const word = { approve: action === 'approve', reason: fields.text('Reason') };
    return json({ Bids: (await bids.decide(request.params['id'] ?? '', word)).map(decisionToWire) });
  };

  /** Bacalhau v1.2's: signed by the one client that may approve. */
  const approve = async (request: HttpRequest): Promise<HttpReply> => {
    const { clientId, payload } = readSignedBody(await request.body());
    const { jobId, claimed, shouldBid, shouldWait, reason } = readApproval(payload);
    if (claimed !== clientId) {
      throw new NodeError('SignatureInvalid', 'ClientID is not the id of the key that signed the payload');
    }
    const approver = bids.approver();
    if (clientId !== approver) {
      throw new NodeError('NotApprover', 'this client may not approve bids of this node');
    }
    if (!shouldWait) await bids.decide(jobId, { approve: shouldBid, reason });
    return json('Job approved.');
  };

  const explain = async (request: HttpRequest): Promise<HttpReply> =>
    json(explanationToWire(await bids.explain(submissionOf(request, await request.body()))));

  const change = async (request: HttpRequest): Promise<HttpReply> => {
    requireLocal(request);
    const values: Record<string, string> = {};
    flatten(await objectOf(request), '', values);
    return json(bids.changePolicy(values));
  };

  const role = 'compute';
  return [
    { method: 'GET', path: `${COMPUTE}/bids`, role, handle: list },
    { method: 'POST', path: `${COMPUTE}/bids/:id`, role, handle: decide },
    { method: 'POST', path: `${COMPUTE}/approve`, role, handle: approve },
    { method: 'POST', path: `${COMPUTE}/bid/explain`, role, deadlineMs: EXPLAIN_MS, handle: explain },
    { method: 'GET', path: `${COMPUTE}/policy`, role, handle: () => json(bids.policy()) },
    { method: 'PUT', path: `${COMPUTE}/policy`, role, handle: change },
  ];
}

function decisionToWire({ executionId, outcome }: BidDecision): { ExecutionID: string; Outcome: string } {
  return { ExecutionID: executionId, Outcome: outcome };
}

interface ApprovalPayload {
  readonly jobId: string;
  readonly claimed: string;
  readonly shouldBid: boolean;
  readonly shouldWait: boolean;
  readonly reason: string;
}

/** `{ClientID, JobID, Response: {shouldBid, shouldWait, reason}}`. @throws NodeError MalformedBody */
function readApproval(payload: unknown): ApprovalPayload {
  const { ClientID, JobID, Response } = (payload ?? {}) as Record<string, unknown>;
  const { shouldBid = false, shouldWait = false, reason = '' } = (Response ?? {}) as Record<string, unknown>;
  if (
    typeof ClientID !== 'string' ||
    typeof JobID !== 'string' ||
    typeof shouldBid !== 'boolean' ||
    typeof shouldWait !== 'boolean' ||
    typeof reason !== 'string'
  ) {
    throw new NodeError(
      'MalformedBody',
      'payload: expected {ClientID, JobID, Response: {shouldBid, shouldWait, reason}}',
    );
  }
  return { jobId: JobID, claimed: ClientID.toLowerCase(), shouldBid, shouldWait, reason };
}

/** Leaves of a tree of config keys, as the texts a config file would hold. @throws NodeError MalformedBody */
function flatten(
  tree: Readonly<Record<string, unknown>>,
  prefix: string,
  into: Record<string, string>,
): void {
  for (const [name, value] of Object.entries(tree)) {
    const key = `${prefix}${name}`;
    if (value === null) into[key] = '';
    else if (Array.isArray(value)) into[key] = value.map(String).join(',');
    else if (typeof value === 'object') flatten(value as Record<string, unknown>, `${key}.`, into);
    else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      into[key] = String(value);
    }
  }
}
