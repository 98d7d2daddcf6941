import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { errorsPage, metricsPage } from '../../support/docs.ts';
import { cliPage } from '../../support/docs-cli.ts';
import { configPage } from '../../support/docs-config.ts';
import { limitsPage } from '../../support/docs-limits.ts';

function holds(name: string, expected: string): void {
  const path = join(import.meta.dirname, '../../../docs', name);
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(path, expected);
  assert.equal(readFileSync(path, 'utf8'), expected, `docs/${name} is out of date: UPDATE_DOCS=1 writes it`);
}

it('docs/ERRORS.md lists every error of the registry', () => holds('ERRORS.md', errorsPage()));

it('docs/CONFIG.md lists every setting', () => holds('CONFIG.md', configPage()));

it('docs/CLI.md describes every command', () => holds('CLI.md', cliPage()));

it('docs/LIMITS.md lists every bound with its reason', () => holds('LIMITS.md', limitsPage()));

it('docs/METRICS.md lists every metric', async () => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const known = (await registry.getMetricsAsJSON()).map(({ name, type, help }) => ({
    name,
    type: String(type),
    help,
  }));
  holds('METRICS.md', metricsPage(known));
});
