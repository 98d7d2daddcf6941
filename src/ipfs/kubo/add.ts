import { type CID, varint } from 'multiformats';
import { importFolder } from '../import.ts';
import type { StallWatch } from '../stall.ts';
import type { KuboRpc } from './rpc.ts';

/** Blocks are sent in archives of about this many bytes. */
const ARCHIVE_BYTES = 4 * 1_048_576;
/** Length and DAG-CBOR of {roots: [], version: 1}, the header of a CAR (CARv1, "Header"). */
const ARCHIVE_HEADER = Buffer.from('11a265726f6f7473806776657273696f6e01', 'hex');

/**
 * Adds a folder to a Kubo daemon and pins it; answers its CID.
 *
 * It goes as archives of blocks (CAR), each one request: Node's `fetch`, which kubo-rpc-client calls, keeps
 * the whole of a streamed body in memory (nodejs/undici#4058), so `addAll` would hold all of a folder there; nor
 * does that know symbolic links.
 * @throws NodeError, or the error of a file that cannot be read
 */
export async function addFolder(rpc: KuboRpc, directory: string, watch: StallWatch): Promise<CID> {
  const archives = new ArchiveSender(rpc, watch);
  const root = await importFolder(directory, archives, watch.signal);
  await archives.flush();
  // Offline, so that a block which the daemon has lost meanwhile is an error, and not looked for elsewhere.
  const options = { recursive: true, offline: true };
  await rpc.transfer((client, signal) => client.pin.add(root, { ...options, signal }), watch.signal);
  return root;
}

/** Collects blocks while the archive before is on its way; holds at most two archives. */
class ArchiveSender {
  readonly #rpc: KuboRpc;
  readonly #watch: StallWatch;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #sending: Promise<void> | undefined;

  constructor(rpc: KuboRpc, watch: StallWatch) {
    this.#rpc = rpc;
    this.#watch = watch;
  }

  async put(cid: CID, bytes: Uint8Array): Promise<void> {
    while (this.#bytes >= ARCHIVE_BYTES) await this.#send();
    this.#watch.touch();
    const length = cid.bytes.byteLength + bytes.byteLength;
    const prefix = varint.encodeTo(length, new Uint8Array(varint.encodingLength(length)));
    this.#pieces.push(prefix, cid.bytes, bytes);
    this.#bytes += length;
  }

  /** Sends what is left. */
  async flush(): Promise<void> {
    while (this.#sending !== undefined || this.#bytes > 0) await this.#send();
  }

  #send(): Promise<void> {
    this.#sending ??= this.#sendNow().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #sendNow(): Promise<void> {
    const archive = this.#watch.watch(pieces([ARCHIVE_HEADER, ...this.#pieces]));
    this.#pieces = [];
    this.#bytes = 0;
    await this.#rpc.transfer(async (client, signal) => {
      const answers = client.dag.import([archive], { pinRoots: false, signal });
      // Nothing is pinned yet, so there is nothing to be told.
      for await (const _ of answers) this.#watch.touch();
    }, this.#watch.signal);
    this.#watch.touch();
  }
}

async function* pieces(all: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* all;
}
