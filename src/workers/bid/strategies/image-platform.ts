import type { ExecutionHeader } from '../../../core/item.ts';
import type { ImagePlatform } from '../../../engines/docker/image-platforms.ts';
import { no, type SlowStrategy, YES } from '../strategy.ts';

/** Where images' platforms are looked up: `engines/docker/image-platforms.ts`. */
export interface PlatformLookup {
  ofEngine(): Promise<ImagePlatform | undefined>;
  ofImage(image: string): Promise<readonly ImagePlatform[] | undefined>;
}

/**
 * A Docker job's image is built for what the engine runs. Only a known mismatch refuses: an image that nobody could
 * tell of in time is for the pull to find or not.
 */
export function imagePlatform(find: () => Promise<PlatformLookup>): SlowStrategy {
  return {
    speed: 'slow',
    code: 'image_platform',
    applies: ({ header }) => hasImage(header),
    decide: async ({ spec }) => {
      const image = spec.Tasks[0].Engine.Params?.['Image'];
      if (typeof image !== 'string') return YES;
      const lookup = await find();
      // A malformed name is for the engine to refuse, in its own words.
      const asked = lookup.ofImage(image).catch(() => undefined);
      const [engine, platforms] = await Promise.all([lookup.ofEngine(), asked]);
      if (engine === undefined || platforms === undefined) return YES;
      const { os, architecture } = engine;
      if (platforms.some((built) => built.os === os && built.architecture === architecture)) return YES;
      return no(
        `support the available image platforms [${platforms.map(text).join(' ')}] (supports [${text(engine)}])`,
      );
    },
  };
}

/** True for a job whose image is looked up. */
export function hasImage({ engine }: ExecutionHeader): boolean {
  return engine === 'docker';
}

function text({ os, architecture, variant }: ImagePlatform): string {
  return variant === '' ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}
