import { NodeError } from '../core/errors.ts';
import type { InputSource } from '../core/job.ts';

/**
 * A text parameter of an input. Names of parameters compare case-insensitively, as all names of the wire do.
 * @throws NodeError InputInvalid when it is missing or no text
 */
export function textParam(input: InputSource, name: string): string {
  const value = param(input, name);
  if (typeof value !== 'string' || value === '') {
    throw new NodeError(
      'InputInvalid',
      `input ${input.Source.Type}: expected Params.${name} to be a text, got ${value === undefined ? 'nothing' : JSON.stringify(value)}`,
    );
  }
  return value;
}

/** A parameter of an input whatever it holds; undefined where there is none. */
export function param(input: InputSource, name: string): unknown {
  const params = input.Source.Params ?? {};
  if (Object.hasOwn(params, name)) return params[name];
  const lower = name.toLowerCase();
  return Object.entries(params).find(([key]) => key.toLowerCase() === lower)?.[1];
}
