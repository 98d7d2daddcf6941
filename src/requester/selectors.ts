import { NodeError } from '../core/errors.ts';
import type { LabelSelectorRequirement } from '../core/job.ts';

type Labels = Readonly<Record<string, string>>;

/** Constraints whose key begins so do not filter; a node that meets one is preferred (Bacalhau v1.2). */
export const FAVOUR_PREFIX = 'favour_';

/**
 * True when `labels` meet the requirement. Kubernetes semantics: `!=` and `notin` hold where the key is absent;
 * `gt` and `lt` compare whole numbers and fail on anything else. An unknown operator never holds.
 */
export function meets(labels: Labels, requirement: LabelSelectorRequirement): boolean {
  const values = requirement.Values ?? [];
  const has = Object.hasOwn(labels, requirement.Key);
  const value = has ? (labels[requirement.Key] ?? '') : '';
  switch (requirement.Operator.trim().toLowerCase()) {
    case '=':
    case '==':
    case 'in':
      return has && values.includes(value);
    case '!=':
    case 'notin':
      return !has || !values.includes(value);
    case 'exists':
      return has;
    case '!':
    case 'doesnotexist':
      return !has;
    case 'gt':
      return has && compare(value, values[0]) > 0;
    case 'lt':
      return has && compare(value, values[0]) < 0;
    default:
      return false;
  }
}

const INTEGER = /^[+-]?\d+$/;

/** NaN, which is neither above nor below, when either is no whole number. */
function compare(left: string, right: string | undefined): number {
  if (right === undefined || !INTEGER.test(left) || !INTEGER.test(right)) return Number.NaN;
  const difference = BigInt(left) - BigInt(right);
  if (difference === 0n) return 0;
  return difference > 0n ? 1 : -1;
}

/** "region in (eu,us)", as people write requirements. */
export function formatRequirement(requirement: LabelSelectorRequirement): string {
  const values = requirement.Values ?? [];
  const operator = requirement.Operator.trim().toLowerCase();
  if (operator === '!' || operator === 'doesnotexist') return `!${requirement.Key}`;
  if (operator === 'exists') return requirement.Key;
  if (operator === 'in' || operator === 'notin')
    return `${requirement.Key} ${operator} (${values.join(',')})`;
  return `${requirement.Key} ${operator} ${values.join(',')}`;
}

const SET = /^([^\s!=<>(),]+)\s+(in|notin)\s*\(([^()]*)\)$/i;
const COMPARISON = /^([^\s!=<>(),]+)\s*(==|!=|=|>|<)\s*([^\s!=<>(),]*)$/;
const ABSENT = /^!\s*([^\s!=<>(),]+)$/;
const PRESENT = /^[^\s!=<>(),]+$/;

/**
 * Requirements of Kubernetes selector texts such as "team=a,!beta" or "zone in (a,b)"; all must hold.
 * @throws NodeError BadQuery
 */
export function parseSelectors(texts: readonly string[]): LabelSelectorRequirement[] {
  return texts.flatMap(splitSelector).map((text) => {
    const set = SET.exec(text);
    if (set !== null) {
      const Values = (set[3] ?? '').split(',').map((value) => value.trim());
      return { Key: set[1] ?? '', Operator: (set[2] ?? '').toLowerCase(), Values };
    }
    const comparison = COMPARISON.exec(text);
    if (comparison !== null) {
      const sign = comparison[2] ?? '';
      const Operator = sign === '>' ? 'gt' : sign === '<' ? 'lt' : sign;
      return { Key: comparison[1] ?? '', Operator, Values: [comparison[3] ?? ''] };
    }
    const absent = ABSENT.exec(text);
    if (absent !== null) return { Key: absent[1] ?? '', Operator: '!' };
    if (PRESENT.test(text)) return { Key: text, Operator: 'exists' };
    throw new NodeError(
      'BadQuery',
      `unable to parse label selector "${text}" (expected text such as "key=value", "key in (a,b)", "key" or "!key")`,
    );
  });
}

/** Parts between commas that are not inside parentheses. */
function splitSelector(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const letter = text[at];
    if (letter === '(') depth += 1;
    else if (letter === ')') depth -= 1;
    else if (letter === undefined || (letter === ',' && depth === 0)) {
      const part = text.slice(from, at).trim();
      if (part !== '') parts.push(part);
      from = at + 1;
    }
  }
  return parts;
}
