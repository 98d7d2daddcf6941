import { DockerApi } from './docker-api.ts';
import { parseDockerHost } from './endpoint.ts';
import { DockerRefusal } from './errors.ts';
import { type ImageReference, parseImageReference } from './image-reference.ts';
import { hubAccount, type RegistryAccount } from './registry-account.ts';

/** What an image is built for, or an engine runs: "linux/amd64", "linux/arm/v7". */
export interface ImagePlatform {
  readonly os: string;
  readonly architecture: string;
  /** "" where there is none. */
  readonly variant: string;
}

export interface ImagePlatformsOptions {
  /** As `parseDockerHost` reads it. */
  readonly dockerHost: string;
  /** Docker Hub account; "" for none. */
  readonly dockerUsername: string;
  readonly dockerPassword: string;
  /** For each of the at most three questions to Docker. Default 3 s: a registry may have to be asked. */
  readonly timeoutMs?: number;
  /** How long an answer is believed, and how long a question without one is not asked again. */
  readonly keepMs?: number;
  readonly keepFailureMs?: number;
}

interface Kept<T> {
  readonly value: Promise<T | undefined>;
  untilMs: number;
}

const TIMEOUT_MS = 3000;
const KEEP_MS = 300_000;
const KEEP_FAILURE_MS = 15_000;
/** Images remembered at once. */
const KEPT = 1024;
const ENGINE = '';

/**
 * What images are built for, asked of Docker: the image on this machine first, then its registry through Docker.
 * Answers are kept for minutes and failures for seconds, and who asks the same at once shares one question.
 */
export class ImagePlatforms {
  readonly #options: ImagePlatformsOptions;
  readonly #api: DockerApi;
  readonly #kept = new Map<string, Kept<readonly ImagePlatform[]>>();

  /** @throws NodeError ConfigInvalid for a malformed `dockerHost` */
  constructor(options: ImagePlatformsOptions) {
    this.#options = options;
    this.#api = new DockerApi(parseDockerHost(options.dockerHost));
  }

  /** What the engine runs; undefined when it does not say. */
  async ofEngine(): Promise<ImagePlatform | undefined> {
    const found = await this.#ask(ENGINE, async () => {
      const { Os, Arch } = (await this.#get('/version')) as { Os?: unknown; Arch?: unknown };
      return typeof Os === 'string' && typeof Arch === 'string'
        ? [{ os: Os, architecture: Arch, variant: '' }]
        : undefined;
    });
    return found?.[0];
  }

  /** What the image is built for; undefined when nobody could tell in time. @throws NodeError ValidationFailed */
  async ofImage(image: string): Promise<readonly ImagePlatform[] | undefined> {
    const reference = parseImageReference(image);
    return this.#ask(
      reference.full,
      async () => (await this.#local(reference)) ?? (await this.#remote(reference)),
    );
  }

  #ask(
    key: string,
    look: () => Promise<readonly ImagePlatform[] | undefined>,
  ): Promise<readonly ImagePlatform[] | undefined> {
    const nowMs = Date.now();
    const known = this.#kept.get(key);
    if (known !== undefined && known.untilMs > nowMs) return known.value;
    const { keepMs = KEEP_MS, keepFailureMs = KEEP_FAILURE_MS } = this.#options;
    const value = look().catch(() => undefined);
    const kept: Kept<readonly ImagePlatform[]> = { value, untilMs: Number.POSITIVE_INFINITY };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    void value.then((found) => {
      kept.untilMs = Date.now() + (found === undefined ? keepFailureMs : keepMs);
    });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return value;
  }

  async #local({ full }: ImageReference): Promise<readonly ImagePlatform[] | undefined> {
    const found = (await this.#get(`/images/${full}/json`)) as Record<string, unknown> | undefined;
    const platform = platformOf(found?.['Os'], found?.['Architecture'], found?.['Variant']);
    return platform === undefined ? undefined : [platform];
  }

  async #remote(reference: ImageReference): Promise<readonly ImagePlatform[] | undefined> {
    const { dockerUsername: username, dockerPassword: password } = this.#options;
    const account = reference.onDockerHub ? hubAccount(username, password) : undefined;
    const found = (await this.#get(`/distribution/${reference.full}/json`, account)) as
      | { Platforms?: unknown }
      | undefined;
    if (!Array.isArray(found?.Platforms)) return undefined;
    const platforms = (found.Platforms as Record<string, unknown>[]).flatMap(
      ({ os, architecture, variant }) => platformOf(os, architecture, variant) ?? [],
    );
    return platforms.length === 0 ? undefined : platforms;
  }

  /** The JSON of an answer; undefined for one that is no success. */
  async #get(path: string, account?: RegistryAccount): Promise<unknown> {
    const timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS;
    const authconfig = account && { authconfig: account };
    const request = { method: 'GET', path, ...authconfig } as const;
    try {
      return await this.#api.dial('look at a platform', timeoutMs, request);
    } catch (error) {
      if (error instanceof DockerRefusal) return undefined;
      throw error;
    }
  }
}

/** Attestations stand in manifest lists as unknown/unknown: no platform. */
function platformOf(os: unknown, architecture: unknown, variant: unknown): ImagePlatform | undefined {
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined;
  if (os === '' || architecture === '' || os === 'unknown') return undefined;
  return { os, architecture, variant: typeof variant === 'string' ? variant : '' };
}
