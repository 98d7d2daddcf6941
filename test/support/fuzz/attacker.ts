import { openRaw, type RawConnection } from '../raw-http.ts';
import { frame, handshake, malformed, pieces, wellFormed } from './inputs.ts';
import type { Random } from './random.ts';

/** A well-formed request has an answer by then. */
const ANSWER_MS = 10_000;
/** How long one waits for a word on what may be incomplete. */
const PATIENCE_MS = 5;
const MAX_FAULTS = 5;

/** Sends generated input over raw connections, several at a time, and keeps what was wrong with the answers. */
export class Attacker {
  readonly faults: string[] = [];
  inputs = 0;
  readonly #port: number;
  readonly #random: Random;
  readonly #before: () => void;
  readonly #counts: Map<string, number> = new Map();

  /** @param before called ahead of every connection */
  constructor(port: number, random: Random, before: () => void) {
    this.#port = port;
    this.#random = random;
    this.#before = before;
  }

  /** "12000 well-formed, 4000 frames, ...; 200: 5000, 404: 200, ...". */
  summary(): string {
    return [...this.#counts]
      .sort(([left], [right]) => left.localeCompare(right))
      .map(([name, count]) => `${name}: ${count}`)
      .join(', ');
  }

  /** Until `total` inputs were sent, by all calls together. */
  async attack(total: number): Promise<void> {
    const random = this.#random;
    while (this.inputs < total && this.faults.length < MAX_FAULTS) {
      this.#before();
      const connection = await openRaw(this.#port);
      const dice = random.next();
      if (dice < 0.45) await this.#ask(connection);
      else if (dice < 0.75) await this.#disturb(connection);
      else await this.#speak(connection);
      connection.socket.destroy();
      this.#check(connection);
    }
  }

  /** Begins something and waits until the server has had enough. */
  async stall(): Promise<void> {
    const connection = await openRaw(this.#port);
    const bytes = this.#random.chance(0.5) ? wellFormed(this.#random).bytes : handshake(this.#random);
    connection.socket.write(bytes.subarray(0, this.#random.below(bytes.length)));
    this.#count('stalled', 1);
    await connection.closed();
    this.#check(connection);
  }

  #count(name: string, inputs: number): void {
    this.inputs += inputs;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** Requests that deserve an answer, one after another on one connection. */
  async #ask(connection: RawConnection): Promise<void> {
    const random = this.#random;
    for (let left = 1 + random.below(6); left > 0; left -= 1) {
      const { method, bytes } = wellFormed(random);
      this.#count('well-formed', 1);
      const from = connection.received().length;
      if (random.chance(0.2)) await trickle(connection, pieces(random, bytes));
      else connection.socket.write(bytes);
      const answer = await answered(connection, from, method);
      if (answer === undefined) {
        this.faults.push(`no whole answer to ${JSON.stringify(bytes.toString('latin1').slice(0, 200))}`);
        return;
      }
      if (connection.socket.readableEnded || /\r\nConnection: close\r\n/i.test(answer)) return;
    }
  }

  /** Input that may deserve anything, and a client that may leave at any time. */
  async #disturb(connection: RawConnection): Promise<void> {
    const random = this.#random;
    const bytes = malformed(random);
    this.#count('malformed', 1);
    if (random.chance(0.3)) await trickle(connection, pieces(random, bytes));
    else connection.socket.write(bytes);
    if (random.chance(0.2)) return;
    if (random.chance(0.2)) connection.socket.end();
    await word(connection);
  }

  async #speak(connection: RawConnection): Promise<void> {
    const random = this.#random;
    this.#count('handshake', 1);
    connection.socket.write(handshake(random));
    await word(connection);
    for (let left = random.below(12); left > 0; left -= 1) {
      this.#count('frame', 1);
      const bytes = frame(random);
      if (random.chance(0.2)) await trickle(connection, pieces(random, bytes));
      else connection.socket.write(bytes);
    }
    if (random.chance(0.5)) await word(connection);
  }

  #check(connection: RawConnection): void {
    const text = connection.received();
    for (const answer of text.split(/(?=HTTP\/1\.1 \d{3} )/)) {
      const status = answer.slice(9, 12);
      if (!answer.startsWith('HTTP/1.1 ')) continue;
      this.#count(status, 0);
      if (status !== '500') continue;
      const [head = '', body = ''] = answer.split('\r\n\r\n', 2);
      const id = /\r\nX-Request-Id: (\S+)/i.exec(head)?.[1];
      // HEAD has no body.
      const own = body === '' || /"RequestID": ?"([^"]+)"/.exec(body)?.[1] === id;
      if (id === undefined || !own || body.includes('secret'))
        this.faults.push(`a 500 without an id of its own: ${answer.slice(0, 1000)}`);
    }
  }
}

/** Writes piece by piece, a turn of the loop apart. */
async function trickle(connection: RawConnection, parts: readonly Buffer[]): Promise<void> {
  for (const part of parts) {
    if (connection.socket.destroyed || !connection.socket.writable) return;
    connection.socket.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The whole answer that begins at `from`; undefined when there is none. */
async function answered(
  connection: RawConnection,
  from: number,
  method: string,
): Promise<string | undefined> {
  const deadline = Date.now() + ANSWER_MS;
  while (Date.now() < deadline) {
    const text = connection.received().slice(from);
    if (isWhole(text, method)) return text;
    if (connection.socket.destroyed) return undefined;
    await news(connection, 100);
  }
  return undefined;
}

function isWhole(text: string, method: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const head = text.slice(0, end + 2);
  const status = Number(head.slice(9, 12));
  if (method === 'HEAD' || status === 204) return true;
  const length = /\r\nContent-Length: (\d+)\r\n/i.exec(head)?.[1];
  if (length !== undefined) return text.length >= end + 4 + Number(length);
  return text.endsWith('0\r\n\r\n');
}

/** Waits for anything to come, a little. */
function word(connection: RawConnection): Promise<void> {
  return news(connection, PATIENCE_MS);
}

function news({ socket }: RawConnection, timeoutMs: number): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      socket.off('data', done);
      socket.off('close', done);
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    socket.on('data', done);
    socket.on('close', done);
  });
}
