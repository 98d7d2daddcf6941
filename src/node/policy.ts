import { type NodeConfig, settingsTree, shownSetting } from '../config/load.ts';
import { changePolicy, type PolicyConfig } from '../config/policy.ts';
import type { BidConfig } from '../pipeline/bid/options.ts';
import type { Logger } from '../telemetry/logger.ts';

/** The job selection policy in force, and the one way to change it. */
export class Policy {
  readonly #apply: (bid: BidConfig) => void;
  readonly #logger: Logger;
  #now: PolicyConfig;

  /** @param modules `apply` tells whoever decides by it */
  constructor(
    first: PolicyConfig,
    modules: { readonly apply: (bid: BidConfig) => void; readonly logger: Logger },
  ) {
    this.#now = first;
    this.#apply = modules.apply;
    this.#logger = modules.logger;
  }

  get now(): PolicyConfig {
    return this.#now;
  }

  /** As a tree of config keys. */
  tree(): Record<string, unknown> {
    return settingsTree(this.#now.stated.map(shownSetting));
  }

  /** The configuration with this policy in place of its own. */
  effective(config: NodeConfig): NodeConfig {
    const { bid, stated } = this.#now;
    const now = new Map(stated.map((setting) => [setting.key, shownSetting(setting)] as const));
    return {
      ...config,
      bid,
      policy: stated,
      settings: config.settings.map((setting) => now.get(setting.key) ?? setting),
    };
  }

  /** Takes another configuration's policy in place of this one, changes over the API included. */
  replace(next: PolicyConfig): void {
    const changed = next.stated.filter(
      ({ key, text }) => this.#now.stated.find((setting) => setting.key === key)?.text !== text,
    );
    this.#now = next;
    this.#apply(next.bid);
    this.#logger.info(
      { changed: changed.map(({ key }) => key).join(', ') },
      'the job selection policy is in force',
    );
  }

  /** @throws NodeError ConfigInvalid: then nothing has changed */
  change(values: Readonly<Record<string, string>>): void {
    this.replace(changePolicy(this.#now, values));
  }
}
