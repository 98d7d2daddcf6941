import { errorRegistry } from '../../src/core/errors.ts';
import { metricDefinitions } from '../../src/telemetry/metric-table.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** docs/ERRORS.md as the registry says. */
export function errorsPage(): string {
  const rows = Object.entries(errorRegistry).map(
    ([code, { status, wireCode, component, retryable, hint }]) =>
      `| \`${code}\` | ${status} | \`${wireCode}\` | \`${component}\` | ${retryable ? 'yes' : 'no'} | ${cell(hint ?? '')} |`,
  );
  return `# Errors

Every error the node raises on purpose. The REST API answers with this envelope, whatever the error:

\`\`\`json
{"Status": 404, "Message": "job not found: j-123", "RequestID": "", "Code": "NotFound", "Component": "JobStore"}
\`\`\`

\`Hint\` (text) and \`Details\` (map of text) are added where there is something to say.
\`RequestID\` is what the client sent as \`X-Request-Id\`. With status 500 it is the id under which the node logged the error; every answer carries it as \`X-Request-Id\`.
Answers with status 429 and 503 say in \`Retry-After\` how many seconds to wait.

This table is made from \`src/core/errors.ts\`; \`UPDATE_DOCS=1 node --test test/unit/docs/tables.test.ts\` writes it.

| Error | Status | Code | Component | Same request may succeed later | Hint |
| --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}

/** docs/METRICS.md as the definitions say. */
export function metricsPage(processMetrics: readonly { name: string; type: string; help: string }[]): string {
  const own = Object.entries(metricDefinitions).map(
    ([name, { type, labels, help }]) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${cell(help)} |`,
  );
  const others = processMetrics.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${cell(help)} |`);
  return `# Metrics

\`GET /metrics\` on the REST port, in the Prometheus text format.

A stage is one of \`ingest\`, \`bid\`, \`admit\`, \`execute\` (containers), \`wasm\` (WASM threads) and \`publish\`.
An item that leaves a stage has the outcome \`advance\`, \`wait\`, \`reject\`, \`fail\` or \`cancelled\`.
Queues never grow beyond \`bacalhau_stage_queue_bound\`: what does not fit is counted in \`bacalhau_stage_items_refused_total\`.

This page is made from \`src/telemetry/metric-table.ts\`; \`UPDATE_DOCS=1 node --test test/unit/docs/tables.test.ts\` writes it.

| Metric | Type | Labels | What |
| --- | --- | --- | --- |
${own.join('\n')}

## Of the process

As prom-client names them.

| Metric | Type | What |
| --- | --- | --- |
${others.join('\n')}
`;
}
