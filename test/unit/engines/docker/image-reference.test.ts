import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseImageReference } from '../../../../src/engines/docker/image-reference.ts';
import { codeIs } from '../../../contract/engine.ts';

const DIGEST = `sha256:${'0a'.repeat(32)}`;

describe('parseImageReference', () => {
  for (const [text, full, onDockerHub] of [
    ['ubuntu', 'ubuntu:latest', true],
    ['ubuntu:24.04', 'ubuntu:24.04', true],
    ['library/ubuntu', 'library/ubuntu:latest', true],
    ['docker.io/library/ubuntu:1', 'docker.io/library/ubuntu:1', true],
    ['127.0.0.1:5000/busybox', '127.0.0.1:5000/busybox:latest', false],
    ['localhost/busybox:1', 'localhost/busybox:1', false],
    ['[::1]:5000/a/b:1', '[::1]:5000/a/b:1', false],
    ['ghcr.io/a/b__c--d:v1.2', 'ghcr.io/a/b__c--d:v1.2', false],
    [`ubuntu@${DIGEST}`, `ubuntu@${DIGEST}`, true],
    [`ghcr.io/a/b:1@${DIGEST}`, `ghcr.io/a/b@${DIGEST}`, false],
  ] as const) {
    it(`completes ${text}`, () => {
      const reference = parseImageReference(text);
      assert.equal(reference.full, full);
      assert.equal(reference.onDockerHub, onDockerHub);
      assert.notEqual(reference.version, '');
      assert.ok(full.startsWith(reference.repository));
    });
  }

  for (const text of [
    '',
    'Ubuntu',
    'a/../b',
    '../containers/json',
    'a?fromSrc=-',
    'a:b:c',
    'a b',
    'a#b',
    'a@sha256:1',
    `a@${DIGEST}@${DIGEST}`,
    'a:',
    '/a',
    'a/',
    `${'a'.repeat(256)}`,
    'a%2f..',
  ]) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.throws(() => parseImageReference(text), codeIs('ValidationFailed'));
    });
  }
});
