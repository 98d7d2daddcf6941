import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { computeTransitions, jobTransitions, localTransitions } from '../../../src/core/states.ts';
import { EVENT_ROLES, EVENT_TYPES, eventOf } from '../../../src/events/event.ts';
import { EVENT_PARAMETERS } from '../../../src/net/api/event-query.ts';
import { EVENT_CLOSE_CODES, EVENT_PROTOCOLS } from '../../../src/net/api/handlers/events.ts';
import { testRow } from '../../support/events.ts';
import { ROOT } from '../../support/markdown.ts';

const page = await readFile(join(ROOT, 'docs/EVENTS.md'), 'utf8');

/** Cells of the table with that first title, without its head. */
function table(title: string): string[][] {
  const lines = page.split('\n');
  const at = lines.findIndex((line) => line.startsWith(`| ${title} |`));
  assert.ok(at >= 0, `docs/EVENTS.md has no table "${title}"`);
  const rest = lines.slice(at + 2);
  const rows = rest.slice(
    0,
    rest.findIndex((line) => !line.startsWith('|')),
  );
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const words = (cell: string | undefined): string[] =>
  [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, word]) => word ?? '');
const firsts = (title: string): string[] => table(title).flatMap(([cell]) => words(cell).slice(0, 1));
const examples = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(
  ([, text]) => JSON.parse(text ?? '') as unknown,
);

describe('docs/EVENTS.md', () => {
  it('describes every field of an event, and shows one', () => {
    const fields = Object.keys(eventOf(testRow(1, 'compute')));
    assert.deepEqual(firsts('Field'), fields);
    assert.deepEqual(Object.keys(examples[0] as object), fields);
  });

  it('lists types, roles and states', () => {
    const rows = table('Type');
    assert.deepEqual([...new Set(rows.flatMap(([type]) => words(type)))], [...EVENT_TYPES]);
    assert.deepEqual(new Set(rows.flatMap(([, role]) => words(role))), new Set(EVENT_ROLES));
    const states = new Map(
      rows.map(([type, role, names]) => [`${words(type)[0]} ${words(role)[0]}`, words(names)]),
    );
    assert.deepEqual(states.get('job requester'), Object.keys(jobTransitions));
    assert.deepEqual(states.get('execution requester')?.toSorted(), Object.keys(computeTransitions).sort());
    assert.deepEqual(states.get('execution compute'), Object.keys(localTransitions));
  });

  it('describes every parameter, subprotocol and close code', () => {
    assert.deepEqual(firsts('Parameter'), [...EVENT_PARAMETERS]);
    assert.deepEqual(firsts('Subprotocol'), Object.values(EVENT_PROTOCOLS));
    const codes = table('Close code').map(([code]) => Number(code));
    // The server's own, when it stops.
    assert.deepEqual(
      codes,
      [...Object.values(EVENT_CLOSE_CODES), 1001].sort((a, b) => a - b),
    );
  });

  it('shows every notice', () => {
    const notices = examples.slice(1).flatMap((example) => Object.keys((example as object[])[0] ?? {}));
    assert.deepEqual(notices, ['at', 'gap', 'error']);
  });
});
