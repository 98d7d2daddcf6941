import { glob, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

export const ROOT: string = join(import.meta.dirname, '../..');

export interface Page {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
}

/** The project's own documents. */
export async function pages(): Promise<readonly Page[]> {
  const found: Page[] = [];
  for await (const path of glob(['*.md', 'docs/**/*.md', 'src/*.md', 'examples/*.md'], { cwd: ROOT })) {
    found.push({ path: relative(ROOT, join(ROOT, path)), text: await readFile(join(ROOT, path), 'utf8') });
  }
  return found.sort((left, right) => (left.path < right.path ? -1 : 1));
}

/** Every line of code: those of fenced blocks, and each piece of inline code. */
export function codeLines(text: string): readonly string[] {
  const lines: string[] = [];
  let fenced = false;
  for (const line of text.split('\n')) {
    if (/^\s*```/.test(line)) fenced = !fenced;
    else if (fenced) lines.push(line);
    else lines.push(...[...line.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? ''));
  }
  return lines;
}

/** Targets of links, without those to other sites. */
export function linkTargets(text: string): readonly string[] {
  const prose = text.replaceAll(/```[\s\S]*?```/g, '').replaceAll(/`[^`]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target ?? '')
    .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target));
}

/** Anchors of a page's headings, as GitHub makes them. */
export function anchors(text: string): ReadonlySet<string> {
  const headings = [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/^#+ +(.+)$/gm)];
  return new Set(
    headings.map(([, heading]) =>
      (heading ?? '')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(/\s/g, '-'),
    ),
  );
}

/** Words of a command line as a shell splits them; what follows a lone "#", "&&", "|" or ">" is left out. */
export function shellWords(line: string): readonly string[] {
  const words: string[] = [];
  for (const [token] of line.matchAll(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g)) {
    if (/^(?:#|&&|\|\||\||>|;)/.test(token)) break;
    words.push(
      token.replaceAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_, double, single) => String(double ?? single)),
    );
  }
  return words;
}
