import { NodeError } from '../../core/errors.ts';

/** One requirement of a Kubernetes label selector. */
interface Requirement {
  readonly key: string;
  readonly operator: 'exists' | 'absent' | 'in' | 'notin' | 'gt' | 'lt';
  readonly values: readonly string[];
}

const KEY = String.raw`([A-Za-z0-9][A-Za-z0-9_./-]*)`;
const EXISTS = new RegExp(`^(!?)\\s*${KEY}$`);
const EQUALS = new RegExp(`^${KEY}\\s*(=|==|!=)\\s*([A-Za-z0-9_./-]*)$`);
const SET = new RegExp(`^${KEY}\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const ORDER = new RegExp(`^${KEY}\\s*([<>])\\s*(-?\\d+)$`);

/**
 * A predicate over labels from selector texts ("a=b", "a!=b", "a in (b, c)", "a notin (b)", "a", "!a", "a>1"), comma
 * separated or repeated; all must hold. Grammar: Kubernetes label selectors.
 * @throws NodeError BadQuery
 */
export function parseSelectors(
  texts: readonly string[],
): (labels: Readonly<Record<string, string>>) => boolean {
  const requirements = texts.flatMap((text) => split(text).map(parse));
  return (labels) => requirements.every((requirement) => holds(requirement, labels));
}

/** Parts between commas that stand outside parentheses, in one pass: the text comes from the network. */
function split(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  for (let index = 0; index <= text.length; index += 1) {
    const char = text[index];
    if (char === '(') depth += 1;
    else if (char === ')') depth -= 1;
    else if (char === undefined || (char === ',' && depth <= 0)) {
      const part = text.slice(start, index).trim();
      if (part !== '') parts.push(part);
      start = index + 1;
    }
  }
  return parts;
}

function parse(text: string): Requirement {
  const exists = EXISTS.exec(text);
  if (exists !== null) {
    return { key: exists[2] ?? '', operator: exists[1] === '!' ? 'absent' : 'exists', values: [] };
  }
  const equals = EQUALS.exec(text);
  if (equals !== null) {
    return {
      key: equals[1] ?? '',
      operator: equals[2] === '!=' ? 'notin' : 'in',
      values: [equals[3] ?? ''],
    };
  }
  const set = SET.exec(text);
  if (set !== null) {
    return {
      key: set[1] ?? '',
      operator: set[2] === 'in' ? 'in' : 'notin',
      values: (set[3] ?? '').split(',').map((value) => value.trim()),
    };
  }
  const order = ORDER.exec(text);
  if (order !== null) {
    return { key: order[1] ?? '', operator: order[2] === '>' ? 'gt' : 'lt', values: [order[3] ?? ''] };
  }
  throw new NodeError(
    'BadQuery',
    `invalid labels: ${JSON.stringify(text)} (expected a selector such as "key=value", "key!=value", "key in (a, b)" or "!key")`,
  );
}

function holds(requirement: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const { key, operator, values } = requirement;
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
    case 'in':
      return value !== undefined && values.includes(value);
    case 'notin':
      return value === undefined || !values.includes(value);
    case 'gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'lt':
      return value !== undefined && Number(value) < Number(values[0]);
  }
}
