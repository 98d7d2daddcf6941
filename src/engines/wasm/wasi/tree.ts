import { NodeError } from '../../../core/errors.ts';
import { HostDirectory, type Mount } from './host-directory.ts';

/** What stands behind a mount point. */
export type MountSource =
  /** A folder that exists only to hold mount points. */
  | { readonly kind: 'none' }
  | { readonly kind: 'directory'; readonly path: string; readonly mount: Mount }
  | { readonly kind: 'file'; readonly path: string; readonly mount: Mount };

/** A mount point, or a folder on the way to one. */
export interface MountNode {
  readonly name: string;
  /** Inode number told to the guest where no file of the host stands behind the node. */
  readonly number: bigint;
  readonly children: Map<string, MountNode>;
  source: MountSource;
  /** The folder of `source`, once it was needed. */
  host: HostDirectory | undefined;
}

/** The guest's view of a folder: mount points in it, entries of the host in it, or both. */
export interface Directory {
  readonly node: MountNode | undefined;
  readonly host: HostDirectory | undefined;
}

/** Components of a guest path; "." and empty ones dropped. Undefined when it climbs by "..". */
export function pathComponents(path: string): string[] | undefined {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.includes('..') || path.includes('\0') ? undefined : parts;
}

/** The guest's file system: a root that holds nothing but mount points, each a file or folder of the host. */
export class MountTree {
  #count = 1n;
  readonly root: MountNode = this.#node('');

  #node(name: string): MountNode {
    return { name, number: this.#count++, children: new Map(), source: { kind: 'none' }, host: undefined };
  }

  /**
   * Puts `source` at the guest path `target`, as made by a caller who says so as `what` in errors.
   * A path that does not begin with "/" is taken from the root.
   * @throws NodeError InputInvalid for a path that climbs or is taken
   */
  mount(target: string, source: MountSource, what: string): void {
    const parts = pathComponents(target);
    if (parts === undefined) {
      throw new NodeError('InputInvalid', `${what}: ${target} (expected a path without ".." in it)`);
    }
    let node = this.root;
    for (const part of parts) {
      if (node.source.kind === 'file') {
        throw new NodeError('InputInvalid', `${what}: ${target} lies below a file that is mounted there`);
      }
      let next = node.children.get(part);
      if (next === undefined) {
        next = this.#node(part);
        node.children.set(part, next);
      }
      node = next;
    }
    const taken = node.source.kind !== 'none';
    if (taken || (source.kind === 'file' && (node.children.size > 0 || node === this.root))) {
      throw new NodeError(
        'InputInvalid',
        `${what}: ${target} is taken by another mount (expected one of its own)`,
      );
    }
    node.source = source;
  }

  /** Opens the folder behind a node; undefined where there is none. */
  hostOf(node: MountNode): HostDirectory | undefined {
    if (node.host === undefined && node.source.kind === 'directory') {
      node.host = new HostDirectory(node.source.path, node.source.mount, { depth: 0, followLink: true });
    }
    return node.host;
  }

  /** Closes every folder that was opened. */
  close(): void {
    const pending = [this.root];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      node.host?.close();
      node.host = undefined;
      pending.push(...node.children.values());
    }
  }
}
