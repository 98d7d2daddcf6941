import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseConstraints, parseInput, parseOutput, parsePublisher } from '../../../src/cli/inputs.ts';
import { NodeError } from '../../../src/core/errors.ts';

const inputs: readonly (readonly [string, string, Record<string, unknown>, string])[] = [
  ['ipfs://bafy', 'ipfs', { CID: 'bafy' }, '/inputs'],
  ['ipfs://bafy:/data', 'ipfs', { CID: 'bafy' }, '/data'],
  ['ipfs://bafy/sub/file.txt:/file.txt', 'ipfs', { CID: 'bafy/sub/file.txt' }, '/file.txt'],
  ['https://example.org/data.csv', 'urlDownload', { URL: 'https://example.org/data.csv' }, '/inputs'],
  [
    'https://example.org:8080/d?x=1:/in/d.csv',
    'urlDownload',
    { URL: 'https://example.org:8080/d?x=1' },
    '/in/d.csv',
  ],
  ['http://127.0.0.1:9', 'urlDownload', { URL: 'http://127.0.0.1:9' }, '/inputs'],
  ['file:///srv/a', 'localDirectory', { SourcePath: '/srv/a', ReadWrite: false }, '/inputs'],
  ['file:///srv/a:/b', 'localDirectory', { SourcePath: '/srv/a', ReadWrite: false }, '/b'],
  ['s3://bucket/some/key:/b', 's3', { Bucket: 'bucket', Key: 'some/key' }, '/b'],
  ['src=file:///srv/a,dst=/b,opt=rw=true', 'localDirectory', { SourcePath: '/srv/a', ReadWrite: true }, '/b'],
  [
    'src=s3://b/k,dst=/b,opt=region=eu-1,opt=endpoint=http://h:9',
    's3',
    { Bucket: 'b', Key: 'k', Region: 'eu-1', Endpoint: 'http://h:9' },
    '/b',
  ],
  ['src=https://h/a,b,dst=/c', 'urlDownload', { URL: 'https://h/a,b' }, '/c'],
  ['data:text/plain,hi:/there', 'inline', { URL: 'data:text/plain,hi:/there' }, '/inputs'],
  ['src=data:text/plain,hi,dst=/hi.txt', 'inline', { URL: 'data:text/plain,hi' }, '/hi.txt'],
];

for (const [text, type, params, target] of inputs) {
  test(`input ${text}`, () => {
    const input = parseInput(text);
    assert.deepEqual(input.Source, { Type: type, Params: params });
    assert.equal(input.Target, target);
  });
}

test('an alias is the source, as Bacalhau makes it; or what was asked for', () => {
  assert.equal(parseInput('ipfs://bafy:/data').Alias, 'ipfs://bafy');
  assert.equal(parseInput('src=ipfs://bafy,dst=/data,alias=mine').Alias, 'mine');
});

for (const text of [
  '',
  'bafy',
  './local',
  'ipfs://',
  'ftp://h/x',
  'file://relative',
  'dst=/x',
  'src=ipfs://b,opt=x',
]) {
  test(`no input: "${text}"`, () => {
    assert.throws(
      () => parseInput(text),
      (thrown) => thrown instanceof NodeError && thrown.code === 'CommandInvalid',
    );
  });
}

test('any text is an input or a CommandInvalid', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.constantFrom('', 'ipfs://', 'https://', 'src=', 's3://', 'data:'),
      (text, prefix) => {
        try {
          parseInput(`${prefix}${text}`);
        } catch (thrown) {
          assert.ok(thrown instanceof NodeError, String(thrown));
        }
      },
    ),
  );
});

test('outputs', () => {
  assert.deepEqual(parseOutput('outputs:/outputs'), { Name: 'outputs', Path: '/outputs' });
  for (const text of ['outputs', ':/x', 'a:b']) assert.throws(() => parseOutput(text), NodeError);
});

test('publishers', () => {
  assert.equal(parsePublisher('none'), null);
  assert.deepEqual(parsePublisher('ipfs'), { Type: 'ipfs' });
  assert.deepEqual(parsePublisher('s3://b/k,opt=region=eu'), {
    Type: 's3',
    Params: { Bucket: 'b', Key: 'k', Region: 'eu' },
  });
  assert.throws(() => parsePublisher('not a name'), NodeError);
});

test('constraints', () => {
  assert.equal(parseConstraints([]), null);
  assert.deepEqual(parseConstraints(['region=eu,zone in (a, b)', '!spot', 'gpu', 'n>3', 'x!=y', 'k==v']), [
    { Key: 'region', Operator: '=', Values: ['eu'] },
    { Key: 'zone', Operator: 'in', Values: ['a', 'b'] },
    { Key: 'spot', Operator: '!' },
    { Key: 'gpu', Operator: 'exists' },
    { Key: 'n', Operator: 'gt', Values: ['3'] },
    { Key: 'x', Operator: '!=', Values: ['y'] },
    { Key: 'k', Operator: '=', Values: ['v'] },
  ]);
  assert.throws(() => parseConstraints(['a b c']), NodeError);
});
