import type { Command, Option } from 'commander';

/** A command line before commander sees it. */
export interface Arranged {
  readonly argv: readonly string[];
  /** True where a "--" separates our flags from a job's own words. */
  readonly separated: boolean;
}

function optionOf(command: Command, token: string): Option | undefined {
  const name = token.split('=', 1)[0] ?? token;
  return command.options.find((option) => option.long === name || option.short === name);
}

/**
 * Rewrites "--flag=true" and "--flag=false" of flags without a value, which Go programs take and commander does
 * not. What belongs to a job is left alone: everything behind "--", and without one everything behind the image.
 */
export function arrange(argv: readonly string[], program: Command): Arranged {
  const out: string[] = [];
  let command = program;
  let at = 0;
  let operand = false;
  const end = argv.indexOf('--');
  const separated = end !== -1;
  for (; at < (separated ? end : argv.length); at += 1) {
    const token = argv[at] ?? '';
    if (!token.startsWith('-') || token === '-') {
      const inner = operand ? undefined : command.commands.find((one) => one.name() === token);
      out.push(token);
      if (inner !== undefined) {
        command = inner;
        continue;
      }
      operand = true;
      if (takesWords(command) && !separated) break;
      continue;
    }
    const option = optionOf(command, token);
    const [name = '', value] = token.split(/=(.*)/s, 2);
    if (option !== undefined && !option.required && !option.optional && value !== undefined) {
      if (/^(?:1|t|true)$/i.test(value)) out.push(name);
      else if (/^(?:0|f|false)$/i.test(value)) out.push(...negated(command, name));
      else out.push(token);
      continue;
    }
    out.push(token);
    if (option?.required === true && value === undefined && at + 1 < argv.length) {
      at += 1;
      out.push(argv[at] ?? '');
    }
  }
  return { argv: [...out, ...argv.slice(separated ? end : at + 1)], separated };
}

/** True for the commands whose last argument is a job's own command line. */
function takesWords(command: Command): boolean {
  return command.registeredArguments.at(-1)?.variadic === true;
}

/** "--no-wait" of "--wait" where there is one; a flag that is off anyway is left out. */
function negated(command: Command, name: string): string[] {
  const opposite = name.replace(/^--/, '--no-');
  return command.options.some((option) => option.long === opposite) ? [opposite] : [];
}
