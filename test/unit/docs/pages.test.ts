import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { Command } from 'commander';
import { arrange } from '../../../src/cli/arrange.ts';
import { buildProgram } from '../../../src/cli/program.ts';
import { testContext } from '../../support/cli.ts';
import { anchors, codeLines, linkTargets, pages, ROOT, shellWords } from '../../support/markdown.ts';

const COMMAND_LINE = /^\s*(?:\$ )?(?:cat \S+ \| )?(?:npx )?bacalhau(?:\s+(.*))?$/;

/** Every command does nothing but parse. */
function harmless(command: Command): Command {
  if (command.commands.length === 0) command.action(() => undefined);
  for (const inner of command.commands) harmless(inner);
  return command;
}

/** What the program's own parser says against a command line; "" for nothing. */
async function complaint(line: string): Promise<string> {
  const { context, printed } = testContext();
  const program = harmless(buildProgram(context, 'bacalhau'));
  const words = shellWords(line.replaceAll(/<[^<>]+>/g, 'PLACEHOLDER'));
  const { argv, separated } = arrange(words, program);
  const anywhere = (command: Command): void => {
    command.passThroughOptions(false);
    for (const inner of command.commands) anywhere(inner);
  };
  if (separated) anywhere(program);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return '';
  } catch (error) {
    return `${String(error)} ${printed.stderr}`;
  }
}

const all = await pages();

describe('documents', () => {
  it('are those that a person looks for', () => {
    const names = all.map(({ path }) => path);
    for (const name of [
      'README.md',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'docs/ARCHITECTURE.md',
      'src/README.md',
    ])
      assert.ok(names.includes(name), `${name} is missing`);
  });

  for (const { path, text } of all) {
    it(`${path}: every relative link leads somewhere`, async () => {
      for (const target of linkTargets(text)) {
        const [file = '', anchor] = target.split('#', 2);
        const at = file === '' ? join(ROOT, path) : join(ROOT, dirname(path), decodeURIComponent(file));
        const found = await stat(at).catch(() => undefined);
        assert.ok(found !== undefined, `${path} links to ${target}, which does not exist`);
        if (anchor === undefined || !at.endsWith('.md')) continue;
        assert.ok(
          anchors(await readFile(at, 'utf8')).has(anchor),
          `${path} links to ${target}: no such heading`,
        );
      }
    });

    const commands = codeLines(text).flatMap((line) => {
      const words = COMMAND_LINE.exec(line)?.[1];
      return words === undefined ? [] : [words];
    });
    if (commands.length > 0) {
      it(`${path}: every bacalhau command is one (${commands.length})`, async () => {
        for (const command of commands)
          assert.equal(await complaint(command), '', `${path}: "bacalhau ${command}"`);
      });
    }
  }

  it('name source files that exist', async () => {
    for (const { path, text } of all) {
      for (const [, file] of text.matchAll(/`([\w./-]+\/[\w.-]+\.ts)`/g)) {
        const places = [ROOT, join(ROOT, 'src'), join(ROOT, dirname(path))].map((at) => join(at, file ?? ''));
        const found = await Promise.all(places.map((place) => stat(place).catch(() => undefined)));
        assert.ok(
          found.some((one) => one !== undefined),
          `${path} names ${file}, which does not exist`,
        );
      }
    }
  });

  it('name npm scripts that exist', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    for (const { path, text } of all) {
      for (const line of codeLines(text)) {
        for (const [, script] of line.matchAll(/\bnpm (?:run )?(?!ci\b|install\b|run\b)([a-z][\w:]*)/g)) {
          assert.ok(script !== undefined && script in scripts, `${path}: "npm ${script}" is no script`);
        }
      }
    }
  });

  it('the check of commands can fail', async () => {
    assert.match(await complaint('wasm run --no-such-flag x.wasm'), /unknown option/);
    assert.match(await complaint('jobs list'), /unknown command/);
    assert.match(await complaint('job get'), /missing required argument/);
  });
});
