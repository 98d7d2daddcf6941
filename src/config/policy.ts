import { NodeError } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import { type BidConfig, bidSettings, readBid } from '../pipeline/bid/options.ts';
import { type NodeConfig, type StatedSetting, shownSetting } from './load.ts';
import type { Fault, RawValue } from './origin.ts';
import { isGiven, parseSetting } from './parse.ts';
import { Reader } from './reader.ts';

/** Where a setting comes from that was changed over the API. */
export const API_ORIGIN = 'PUT /api/v1/compute/policy';

/** Settings of the policy that other parts of the node have read at its start. */
const FIXED: ReadonlySet<string> = new Set(['Compute.JobTimeouts.Default']);
/** What runs programs as the node's user is the word of who may write its files, not of who reaches its API. */
const FILE_ONLY: ReadonlySet<string> = new Set(['JobAdmissionControl.ProbeExec']);

/** The job selection policy of a configuration, and its rows as they were written. */
export interface PolicyConfig {
  readonly bid: BidConfig;
  readonly stated: readonly StatedSetting[];
}

/** The policy's rows of a configuration. */
export function policyOf(config: NodeConfig): PolicyConfig {
  return { bid: config.bid, stated: config.policy };
}

/**
 * The policy with some rows changed; a row's "" means its default. A value as it is shown, with its secrets hidden,
 * changes nothing.
 * @throws NodeError ConfigInvalid: all faults at once
 */
export function changePolicy(from: PolicyConfig, values: Readonly<Record<string, string>>): PolicyConfig {
  const faults: Fault[] = [];
  const changed = new Map<string, string>();
  const keys = bidSettings.map(({ key }) => key);
  const shown = new Map(from.stated.map((setting) => [setting.key, shownSetting(setting).text] as const));
  for (const [name, text] of Object.entries(values)) {
    const key = keys.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
    if (key === undefined) {
      const message = `unknown key of the policy; did you mean "${nearest(name, keys) ?? ''}"?`;
      faults.push({ where: name, message });
    } else if (text === shown.get(key)) {
      continue;
    } else if (FIXED.has(key)) {
      faults.push({ where: key, message: 'cannot be changed while the node runs' });
    } else if (FILE_ONLY.has(key)) {
      const message = 'names a program to run: change it in the config file and send the node SIGHUP';
      faults.push({ where: key, message });
    } else {
      changed.set(key, text);
    }
  }
  const reader = new Reader({ resolve: (path) => path, env: { PATH: from.bid.probePath } }, faults);
  const stated = from.stated.map((setting) => {
    const text = changed.get(setting.key);
    if (text === undefined) return setting;
    return { key: setting.key, text, origin: text === '' ? 'default' : API_ORIGIN };
  });
  for (const row of bidSettings) {
    const { text = '', origin = 'default' } = stated.find(({ key }) => key === row.key) ?? {};
    const raw: RawValue = {
      origin: origin === 'default' ? { kind: 'default' } : { kind: 'key', key: row.key },
      texts: [text],
      commas: true,
    };
    const standard: RawValue = { origin: { kind: 'default' }, texts: [row.default], commas: true };
    const parsed = parseSetting(row, isGiven(raw) ? raw : standard);
    if ('wrong' in parsed) {
      faults.push({ where: row.key, message: parsed.wrong });
      continue;
    }
    reader.set(row, parsed.value, raw);
  }
  const bid = faults.length > 0 ? from.bid : readBid(reader);
  if (faults.length > 0) {
    throw new NodeError(
      'ConfigInvalid',
      faults.map(({ where, message }) => `${where}: ${message}`).join('; '),
    );
  }
  return { bid, stated };
}
