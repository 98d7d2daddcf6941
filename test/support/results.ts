import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CliRun } from './cli.ts';
import type { Scope, TestNode, Wire } from './node.ts';

/** Downloads a job's results with `job get`; the folder goes with the scope. */
export async function jobGet(
  scope: Scope,
  node: TestNode,
  id: string,
  flags: readonly string[] = [],
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-results-'));
  scope.after(() => rm(folder, { recursive: true, force: true }));
  const run = await node.cli(['job', 'get', '--output-dir', folder, ...flags, id]);
  assert.equal(run.code, 0, said(run));
  return folder;
}

/** Everything a command printed, for messages. */
export function said(run: CliRun): string {
  return `exit code ${run.code}\n${run.stdout}\n${run.stderr}`;
}

/** The id in what `docker run`, `wasm run` and `job run` print. */
export function submittedId(run: CliRun): string {
  const id =
    /Job ID: (j-[0-9a-f-]{36})/.exec(run.stdout)?.[1] ?? /^(j-[0-9a-f-]{36})$/m.exec(run.stdout)?.[1];
  assert.ok(id !== undefined, `no job id in:\n${said(run)}`);
  return id;
}

/** The one published result of a job, as REST shows it. */
export async function publishedResult(node: TestNode, id: string): Promise<{ Type: string; Params: Wire }> {
  const reply = await node.api('GET', `/api/v1/orchestrator/jobs/${id}/results`);
  const items = (reply.body as { Items?: { Type: string; Params: Wire }[] }).Items ?? [];
  const [only] = items;
  assert.ok(only !== undefined && items.length === 1, `results of ${id}: ${JSON.stringify(reply.body)}`);
  return only;
}

/** The CID of a job whose results are on IPFS. */
export async function publishedCid(node: TestNode, id: string): Promise<string> {
  const { Type, Params } = await publishedResult(node, id);
  assert.equal(Type, 'ipfs');
  return String(Params['CID']);
}
