import { existsSync } from 'node:fs';
import { type CapacityConfig, readCapacity } from '../capacity/options.ts';
import { NodeError } from '../core/errors.ts';
import type { Limits } from '../core/limits.ts';
import { HIDDEN, withoutSecrets } from '../core/secrets.ts';
import { type DockerConfig, readDocker } from '../engines/docker/options.ts';
import { type IpfsConfig, readIpfs } from '../ipfs/options.ts';
import { type ApiConfig, readApi } from '../net/api/options.ts';
import { type P2pConfig, readP2p } from '../net/p2p/options.ts';
import { type NodeOptions, readNode } from '../node-options.ts';
import { type BidConfig, bidSettings, readBid } from '../pipeline/bid/options.ts';
import { type ExecuteConfig, readExecute } from '../pipeline/execute/options.ts';
import { type PublishConfig, readPublish } from '../pipeline/publish/options.ts';
import { type RequesterConfig, readRequester } from '../requester/options.ts';
import { readStores, type StoresConfig } from '../store/options.ts';
import { type LogConfig, readLog } from '../telemetry/options.ts';
import { readWorkers, type WorkersConfig } from '../workers/options.ts';
import { readLimits } from './limits-options.ts';
import { type Fault, originText, type RawValue } from './origin.ts';
import { isGiven, parseSetting } from './parse.ts';
import { Reader } from './reader.ts';
import { allSettings, settingOfKey } from './settings.ts';
import { gather, type Inputs, resolvePath } from './sources.ts';
import type { Setting, SettingKind } from './table.ts';

/** One setting as it was written. May hold secrets: `shownSetting` is for people. */
export interface StatedSetting {
  readonly key: string;
  readonly text: string;
  /** "default", "--port", "environment variable X", "/path/config.yaml:3 (Node.Type)". */
  readonly origin: string;
}

/** One setting as it applies, for people: "********" stands for a secret that is set. */
export type EffectiveSetting = StatedSetting;

/** The node's configuration: typed, frozen, one slice a room. */
export interface NodeConfig {
  readonly node: NodeOptions;
  readonly api: ApiConfig;
  readonly p2p: P2pConfig;
  readonly ipfs: IpfsConfig;
  readonly capacity: CapacityConfig;
  readonly bid: BidConfig;
  readonly execute: ExecuteConfig;
  readonly docker: DockerConfig;
  readonly publish: PublishConfig;
  readonly stores: StoresConfig;
  readonly requester: RequesterConfig;
  readonly workers: WorkersConfig;
  readonly log: LogConfig;
  readonly limits: Limits;
  /** Things to say at start, for example environment variables that look like typing errors. */
  readonly warnings: readonly string[];
  /** Files that were read. */
  readonly files: readonly string[];
  /** Every row as it applies, in the order of the table. */
  readonly settings: readonly EffectiveSetting[];
  /** Rows of the job selection policy as written: changes over the API start from them. */
  readonly policy: readonly StatedSetting[];
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

function faultsError(faults: readonly Fault[]): NodeError {
  const lines = [...new Set(faults.map((fault) => `${fault.where}: ${fault.message}`))];
  const head = lines.length === 1 ? '' : `the configuration has ${lines.length} faults:\n  `;
  return new NodeError('ConfigInvalid', `${head}${lines.join('\n  ')}`);
}

function stated(rows: readonly Setting[], raw: ReadonlyMap<string, RawValue>): StatedSetting[] {
  return rows.flatMap(({ key, default: standard }) => {
    const value = raw.get(key);
    if (value === undefined) return [];
    if (!isGiven(value)) return [{ key, text: standard, origin: 'default' }];
    return [{ key, text: value.texts.join(','), origin: originText(value.origin) }];
  });
}

/** A setting for people. */
export function shownSetting({ key, text, origin }: StatedSetting): EffectiveSetting {
  const setting = settingOfKey(key);
  if (setting?.secret === true) return { key, text: origin === 'default' ? text : HIDDEN, origin };
  const mayHide = setting?.kind === 'string' || setting?.kind === 'list';
  return { key, text: mayHide ? withoutSecrets(text) : text, origin };
}

/**
 * Makes the configuration of flags, environment, file and defaults, the former over the latter.
 * @throws NodeError ConfigInvalid: all faults at once, each with where it is
 */
export function loadConfig(inputs: Inputs): NodeConfig {
  const sources = gather(inputs, existsSync);
  const faults: Fault[] = [...sources.faults];
  const reader = new Reader({ resolve: (text) => resolvePath(text, inputs), env: inputs.env }, faults);
  for (const setting of allSettings) {
    const raw = sources.raw.get(setting.key);
    if (raw === undefined) continue;
    const standard: RawValue = { ...raw, texts: [setting.default], commas: true };
    const parsed = parseSetting(setting, isGiven(raw) ? raw : standard);
    if ('wrong' in parsed) {
      faults.push({ where: originText(raw.origin), message: parsed.wrong });
      // Checks across settings go on with the default, so that every fault is found at once.
      const fallback = parseSetting(setting, standard);
      if ('value' in fallback) reader.set(setting, fallback.value, { ...raw, texts: [''] });
    } else {
      reader.set(setting, parsed.value, raw);
    }
  }
  const config: NodeConfig = {
    node: readNode(reader),
    api: readApi(reader),
    p2p: readP2p(reader),
    ipfs: readIpfs(reader),
    capacity: readCapacity(reader),
    bid: readBid(reader),
    execute: readExecute(reader),
    docker: readDocker(reader),
    publish: readPublish(reader),
    stores: readStores(reader),
    requester: readRequester(reader),
    workers: readWorkers(reader),
    log: readLog(reader),
    limits: readLimits(reader),
    warnings: sources.warnings,
    files: sources.files,
    settings: stated(allSettings, sources.raw).map(shownSetting),
    policy: stated(bidSettings, sources.raw),
  };
  if (faults.length > 0) throw faultsError(faults);
  const idle = reader.unread();
  if (idle.length > 0) throw new NodeError('Internal', `settings without an effect: ${idle.join(', ')}`);
  return deepFreeze(config);
}

/** A setting's text as what a YAML file would hold. */
function plainValue(kind: SettingKind | undefined, text: string): unknown {
  switch (kind) {
    case 'integer':
    case 'port':
      return text === '' ? text : Number(text);
    case 'boolean':
      return /^(?:1|t|true|yes|on)$/i.test(text);
    case 'list':
      return text === '' ? [] : text.split(',');
    case 'map':
      return Object.fromEntries(text === '' ? [] : text.split(',').map((pair) => pair.split(/=(.*)/s, 2)));
    default:
      return text;
  }
}

/** The configuration as a tree of its canonical keys, secrets hidden: what `agent config` shows. */
export function configTree(config: NodeConfig): Record<string, unknown> {
  const root = settingsTree(config.settings);
  const section = (name: string): Record<string, unknown> => {
    const inner = root[name];
    const made = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {};
    root[name] = made;
    return made;
  };
  section('Compute')['Enabled'] = config.node.roles.compute;
  section('Orchestrator')['Enabled'] = config.node.roles.requester;
  return root;
}

/** Settings as a tree of their keys. */
export function settingsTree(settings: readonly EffectiveSetting[]): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  const put = (key: string, value: unknown): void => {
    const sections = key.split('.');
    let at = root;
    for (const section of sections.slice(0, -1)) {
      const inner = at[section];
      const next: Record<string, unknown> =
        typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {};
      at[section] = next;
      at = next;
    }
    at[sections.at(-1) ?? key] = value;
  };
  for (const { key, text } of settings) put(key, plainValue(settingOfKey(key)?.kind, text));
  return root;
}
