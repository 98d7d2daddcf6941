import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, size } from '../../../src/cli/format.ts';
import { formatJson, parseJson } from '../../../src/cli/json.ts';
import { type Column, csvText, tableText, yamlText } from '../../../src/cli/output.ts';

interface Row {
  readonly id: string;
  readonly text: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'COMMENT', value: (row) => row.text, max: 20 },
];

test('a table: a space on both sides of every cell, no lines, wrapped at words', () => {
  const rows = [
    { id: 'e-1', text: 'short' },
    { id: 'e-22', text: 'stopped because the job has been stopped' },
  ];
  assert.equal(
    tableText(rows, columns),
    [
      ' ID    COMMENT              ',
      ' e-1   short                ',
      ' e-22  stopped because the  ',
      '       job has been stopped ',
      '',
    ].join('\n'),
  );
  assert.equal(tableText(rows.slice(0, 1), columns, { hideHeader: true }), ' e-1  short \n');
  assert.match(tableText(rows, columns, { wide: true }), /stopped because the job has been stopped/);
});

test("a job's name cannot send escape sequences to the terminal", () => {
  assert.equal(
    tableText([{ id: '\u001b[2J\u0007x', text: 'a\r\u009bb' }], columns, { hideHeader: true }),
    ' [2Jx  ab \n',
  );
});

test('CSV is quoted where it must be', () => {
  assert.equal(
    csvText([{ id: 'a,b', text: 'say "x"\nnow' }], columns),
    'ID,COMMENT\n"a,b","say ""x""\nnow"\n',
  );
});

test('whole numbers beyond 2^53 keep their digits', () => {
  const text = '{"CreateTime":1795361245454781884,"CPU":0.5,"less":-3}';
  assert.equal(formatJson(parseJson(text), false), text);
  assert.equal(yamlText(parseJson(text)), 'CPU: 0.5\nCreateTime: 1795361245454781884\nless: -3\n');
});

test('YAML quotes what other readers would take for something else', () => {
  assert.equal(
    yamlText({ b: 'yes', a: '1', c: '2026-01-01T00:00:00Z', d: ['x'] }),
    'a: "1"\nb: "yes"\nc: "2026-01-01T00:00:00Z"\nd:\n- x\n',
  );
});

test('sizes and ages', () => {
  assert.deepEqual([0, 999, 1000, 20_221_201_612, 2e9].map(size), [
    '0 B',
    '999 B',
    '1.0 kB',
    '20 GB',
    '2.0 GB',
  ]);
  assert.deepEqual(
    [1, 61, 3601, 90_000].map((seconds) => ago(1000, 1000 + seconds * 1000)),
    ['1s ago', '1m ago', '1h ago', '1d ago'],
  );
});
