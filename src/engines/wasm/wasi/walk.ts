import { isUtf8 } from 'node:buffer';
import { readlinkSync } from 'node:fs';
import { Errno } from './abi.ts';
import { errnoOf, fault, hostCode } from './fault.ts';
import { HostDirectory } from './host-directory.ts';
import type { Directory, MountNode, MountTree } from './tree.ts';

/** Symbolic links one path may pass, as in Linux. */
const MOST_LINKS = 40;
/** Folders one path may hold open: a guest must not use up the node's descriptors. */
const MOST_FOLDERS = 256;

/**
 * Resolves a guest path one component at a time from a directory that the guest holds, as far as the folder
 * that has its last component. The host never resolves more than one name, and no name through a link:
 * links are read here and their targets walked like any path, so that nothing leaves the mount they lie in.
 */
export class Walk {
  readonly #tree: MountTree;
  /** From the starting directory down to where the walk stands. */
  readonly #trail: Directory[];
  readonly #opened = new Set<HostDirectory>();
  /** Components still to go, next one last. */
  #pending: string[];
  #links = 0;
  #name = '';
  #mustBeDirectory = false;

  constructor(tree: MountTree, start: Directory, path: string) {
    if (path.startsWith('/')) throw fault(Errno.PERM);
    this.#tree = tree;
    this.#trail = [start];
    this.#pending = path.split('/').reverse();
    try {
      this.#advance();
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /** The folder that has the last component. */
  get directory(): Directory {
    return this.#trail[this.#trail.length - 1] as Directory;
  }

  /** The last component; "" when the path names `directory` itself. */
  get name(): string {
    return this.#name;
  }

  /** True when the path ended in "/", "/." or such. */
  get mustBeDirectory(): boolean {
    return this.#mustBeDirectory;
  }

  /** The mount point that the path names, if it names one. */
  get mountPoint(): MountNode | undefined {
    return this.#name === '' ? undefined : this.directory.node?.children.get(this.#name);
  }

  /** The folder of the host that has, or would get, the named entry. @throws Fault NOENT where there can be none */
  host(): HostDirectory {
    const { host } = this.directory;
    if (host === undefined) throw fault(Errno.NOENT);
    return host;
  }

  /** Goes on through the last component, which is a symbolic link. */
  followLink(): void {
    const target = this.#linkTarget(this.host(), this.#name);
    if (target === undefined) throw fault(Errno.LOOP);
    if (this.#mustBeDirectory) this.#pending.push('');
    this.#expand(target);
    this.#advance();
  }

  /** The guest's view of a mount point that is a folder. @throws Fault NOTDIR */
  enter(node: MountNode): Directory {
    if (node.source.kind === 'file') throw fault(Errno.NOTDIR);
    const own = this.#tree.hostOf(node);
    if (own !== undefined) return { node, host: own };
    // A folder on the way to a mount point may exist in the mount around it as well: then both are seen.
    const around = this.directory.host;
    if (around === undefined) return { node, host: undefined };
    try {
      return { node, host: this.#keep(around.child(node.name)) };
    } catch (thrown) {
      if (errnoOf(thrown) === undefined) throw thrown;
      return { node, host: undefined };
    }
  }

  /** Lets go of the folders that were passed. */
  close(): void {
    for (const host of this.#opened) host.close();
    this.#opened.clear();
  }

  #keep(host: HostDirectory): HostDirectory {
    this.#opened.add(host);
    return host;
  }

  #advance(): void {
    this.#mustBeDirectory = false;
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      this.#name = '';
      if (next === '' || next === '.') {
        this.#mustBeDirectory = true;
      } else if (next === '..') {
        this.#mustBeDirectory = true;
        this.#climb();
      } else if (this.#pending.every((part) => part === '')) {
        this.#mustBeDirectory = this.#pending.length > 0;
        this.#name = next;
        return;
      } else {
        this.#descend(next);
      }
    }
  }

  #climb(): void {
    const leaving = this.#trail.length > 1 ? this.#trail.pop() : undefined;
    if (leaving === undefined) throw fault(Errno.PERM);
    if (leaving.host === undefined) return;
    if (this.#links > 0 && leaving.host.depth === 0) throw fault(Errno.PERM);
    if (this.#opened.delete(leaving.host)) leaving.host.close();
  }

  #descend(name: string): void {
    if (this.#opened.size >= MOST_FOLDERS) throw fault(Errno.NAMETOOLONG);
    const { node, host } = this.directory;
    const mountPoint = node?.children.get(name);
    if (mountPoint !== undefined) {
      this.#trail.push(this.enter(mountPoint));
      return;
    }
    if (host === undefined) throw fault(Errno.NOENT);
    try {
      this.#trail.push({ node: undefined, host: this.#keep(host.child(name)) });
    } catch (thrown) {
      if (errnoOf(thrown) !== Errno.NOTDIR) throw thrown;
      const target = this.#linkTarget(host, name);
      if (target === undefined) throw fault(Errno.NOTDIR);
      this.#expand(target);
    }
  }

  #expand(target: string): void {
    this.#links += 1;
    if (this.#links > MOST_LINKS) throw fault(Errno.LOOP);
    if (target.startsWith('/')) throw fault(Errno.PERM);
    this.#pending.push(...target.split('/').reverse());
  }

  /** Where a link points; undefined for what is no link. */
  #linkTarget(host: HostDirectory, name: string): string | undefined {
    try {
      const target = readlinkSync(host.entry(name), { encoding: 'buffer' });
      if (!isUtf8(target)) throw fault(Errno.ILSEQ);
      return target.toString('utf8');
    } catch (thrown) {
      if (hostCode(thrown) === 'EINVAL') return undefined;
      throw thrown;
    }
  }
}
