/** What a fetch needs. */
export interface IpfsGetOptions {
  readonly signal: AbortSignal;
  /** Most bytes of file contents; more fails with InputTooLarge while streaming. */
  readonly maxBytes: number;
  /** Symbolic links that point outside of the fetched folder: refused by default, or left out. */
  readonly outsideLinks?: 'refuse' | 'omit';
}

/** What was fetched. */
export interface IpfsFetched {
  readonly kind: 'file' | 'directory';
  readonly bytes: number;
}

/** One IPFS node, a Kubo daemon or the embedded one. Stateless: any thread may hold one. */
export interface IpfsClient {
  /**
   * Adds a folder and everything in it (symbolic links as links) as a UnixFS directory with CIDv1 and raw leaves,
   * and pins it. Answers the CID of the folder.
   * @throws NodeError PublishFailed, DiskFull
   */
  add(directory: string, options: { readonly signal: AbortSignal }): Promise<string>;
  /**
   * Fetches a file or folder to the path `into`, which must not exist; on failure nothing is left there.
   * There is no limit on the whole time but `signal`; silence for too long fails.
   * @throws NodeError InputInvalid, InputUnavailable, InputTooLarge, DiskFull
   */
  get(cid: string, into: string, options: IpfsGetOptions): Promise<IpfsFetched>;
  /** True when every block of the DAG is on that node; never asks the network. @throws NodeError InputInvalid, InputUnavailable */
  has(cid: string, signal: AbortSignal): Promise<boolean>;
  /** Cumulative bytes if the root is on that node, else undefined; never asks the network. @throws NodeError InputInvalid, InputUnavailable */
  size(cid: string, signal: AbortSignal): Promise<number | undefined>;
  /** Resolves when the node answers. @throws NodeError InputUnavailable */
  ping(signal: AbortSignal): Promise<void>;
}

/** How to reach an IPFS node. */
export interface IpfsOptions {
  /** Kubo's RPC address as a multiaddr or URL; "" means the embedded node. */
  readonly connect: string;
  /** Authorization header of the RPC; "" for none. */
  readonly authorization: string;
  /** Absolute folder of the embedded node's blocks. */
  readonly blocksDirectory: string;
}

/** How long a node may be silent in the middle of a transfer before it is given up. */
export const IPFS_STALL_MS = 60_000;
