import type { Key, RangeOptions } from './environment.ts';
import { compareKeys } from './keys.ts';

const NODE_SIZE = 64;

interface Leaf<V> {
  readonly keys: Key[];
  readonly values: V[];
  next: Leaf<V> | undefined;
  previous: Leaf<V> | undefined;
}

/** `children[i]` holds what sorts before `keys[i]`; the last child holds the rest. */
interface Inner<V> {
  readonly keys: Key[];
  readonly children: TreeNode<V>[];
}

type TreeNode<V> = Leaf<V> | Inner<V>;

interface Step<V> {
  readonly node: Inner<V>;
  readonly index: number;
}

/** A position between two entries: `index` is that of the entry after it. */
interface Position<V> {
  readonly leaf: Leaf<V>;
  readonly index: number;
}

function isInner<V>(node: TreeNode<V>): node is Inner<V> {
  return 'children' in node;
}

/** Index of the first key that is not before `key`; of the first after it where `after`. */
function search(keys: readonly Key[], key: Key, after: boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareKeys(keys[middle] ?? '', key);
    if (order < 0 || (after && order === 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** An ordered map: a B+ tree with O(log n) look-up, insertion and removal, and linked leaves for ranges. */
export class SortedMap<V> {
  #root: TreeNode<V>;
  #size = 0;

  constructor() {
    this.#root = { keys: [], values: [], next: undefined, previous: undefined };
  }

  get size(): number {
    return this.#size;
  }

  get(key: Key): V | undefined {
    const { leaf, index } = this.#seek(key);
    const found = leaf.keys[index];
    return found !== undefined && compareKeys(found, key) === 0 ? leaf.values[index] : undefined;
  }

  has(key: Key): boolean {
    const { leaf, index } = this.#seek(key);
    const found = leaf.keys[index];
    return found !== undefined && compareKeys(found, key) === 0;
  }

  set(key: Key, value: V): void {
    const { leaf, path } = this.#descend(key);
    const index = search(leaf.keys, key, false);
    const found = leaf.keys[index];
    if (found !== undefined && compareKeys(found, key) === 0) {
      leaf.values[index] = value;
      return;
    }
    leaf.keys.splice(index, 0, key);
    leaf.values.splice(index, 0, value);
    this.#size += 1;
    if (leaf.keys.length > NODE_SIZE) this.#splitLeaf(leaf, path);
  }

  delete(key: Key): boolean {
    const { leaf, path } = this.#descend(key);
    const index = search(leaf.keys, key, false);
    const found = leaf.keys[index];
    if (found === undefined || compareKeys(found, key) !== 0) return false;
    leaf.keys.splice(index, 1);
    leaf.values.splice(index, 1);
    this.#size -= 1;
    if (leaf.keys.length === 0) this.#dropLeaf(leaf, path);
    return true;
  }

  /** Calls `visit` for the entries of the range until it returns false. */
  walk(options: RangeOptions, visit: (key: Key, value: V) => boolean): void {
    if ((options.limit ?? 1) <= 0) return;
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let skip = options.offset ?? 0;
    for (const [key, value] of options.reverse === true ? this.#down(options) : this.#up(options)) {
      if (skip > 0) {
        skip -= 1;
        continue;
      }
      left -= 1;
      if (!visit(key, value) || left === 0) return;
    }
  }

  *#up(options: RangeOptions): Generator<[Key, V]> {
    let { leaf, index }: { leaf: Leaf<V> | undefined; index: number } =
      options.start === undefined ? { leaf: this.#edge('first'), index: 0 } : this.#seek(options.start);
    while (leaf !== undefined) {
      for (; index < leaf.keys.length; index++) {
        const key = leaf.keys[index] ?? '';
        if (options.end !== undefined && compareKeys(key, options.end) >= 0) return;
        yield [key, leaf.values[index] as V];
      }
      leaf = leaf.next;
      index = 0;
    }
  }

  *#down(options: RangeOptions): Generator<[Key, V]> {
    let leaf: Leaf<V> | undefined;
    let index: number;
    if (options.start === undefined) {
      leaf = this.#edge('last');
      index = leaf.keys.length - 1;
    } else {
      leaf = this.#descend(options.start).leaf;
      index = search(leaf.keys, options.start, true) - 1;
    }
    while (leaf !== undefined) {
      for (; index >= 0; index--) {
        const key = leaf.keys[index] ?? '';
        if (options.end !== undefined && compareKeys(key, options.end) <= 0) return;
        yield [key, leaf.values[index] as V];
      }
      leaf = leaf.previous;
      index = (leaf?.keys.length ?? 0) - 1;
    }
  }

  #edge(side: 'first' | 'last'): Leaf<V> {
    let node = this.#root;
    while (isInner(node)) {
      node = (side === 'first' ? node.children[0] : node.children.at(-1)) as TreeNode<V>;
    }
    return node;
  }

  #descend(key: Key): { leaf: Leaf<V>; path: Step<V>[] } {
    const path: Step<V>[] = [];
    let node = this.#root;
    while (isInner(node)) {
      const index = search(node.keys, key, true);
      path.push({ node, index });
      node = node.children[index] as TreeNode<V>;
    }
    return { leaf: node, path };
  }

  #seek(key: Key): Position<V> {
    let node = this.#root;
    while (isInner(node)) node = node.children[search(node.keys, key, true)] as TreeNode<V>;
    return { leaf: node, index: search(node.keys, key, false) };
  }

  #splitLeaf(leaf: Leaf<V>, path: Step<V>[]): void {
    // Keys mostly rise: a split at the very end keeps the left leaf full.
    const at = leaf.next === undefined ? leaf.keys.length - 1 : leaf.keys.length >>> 1;
    const right: Leaf<V> = {
      keys: leaf.keys.splice(at),
      values: leaf.values.splice(at),
      next: leaf.next,
      previous: leaf,
    };
    if (leaf.next !== undefined) leaf.next.previous = right;
    leaf.next = right;
    this.#insertChild(path, right.keys[0] ?? '', leaf, right);
  }

  #insertChild(path: Step<V>[], separator: Key, left: TreeNode<V>, right: TreeNode<V>): void {
    const step = path.pop();
    if (step === undefined) {
      this.#root = { keys: [separator], children: [left, right] };
      return;
    }
    const { node, index } = step;
    node.keys.splice(index, 0, separator);
    node.children.splice(index + 1, 0, right);
    if (node.children.length <= NODE_SIZE) return;
    const rising = index + 2 === node.children.length;
    const at = rising ? node.children.length - 2 : node.children.length >>> 1;
    const sibling: Inner<V> = { keys: node.keys.splice(at), children: node.children.splice(at) };
    const middle = node.keys.pop() ?? '';
    this.#insertChild(path, middle, node, sibling);
  }

  #dropLeaf(leaf: Leaf<V>, path: Step<V>[]): void {
    let step = path.pop();
    if (step === undefined) return;
    if (leaf.previous !== undefined) leaf.previous.next = leaf.next;
    if (leaf.next !== undefined) leaf.next.previous = leaf.previous;
    while (step !== undefined) {
      const { node, index } = step;
      node.children.splice(index, 1);
      node.keys.splice(Math.max(0, index - 1), 1);
      if (node.children.length > 0) break;
      step = path.pop();
    }
    while (isInner(this.#root) && this.#root.children.length === 1) {
      this.#root = this.#root.children[0] as TreeNode<V>;
    }
    if (isInner(this.#root) && this.#root.children.length === 0) {
      this.#root = { keys: [], values: [], next: undefined, previous: undefined };
    }
  }
}
