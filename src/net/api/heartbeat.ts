/** Tells whether the peer of a WebSocket is still there: it answers pings, or takes what waits for it. */
export class Heartbeat {
  #alive = true;

  /** A pong came, or bytes that had waited were taken. */
  alive(): void {
    this.#alive = true;
  }

  /**
   * What to do after another interval, with `buffered` bytes unsent. A ping would wait behind those: then the peer
   * has to take some of them.
   */
  next(buffered: number): 'ping' | 'wait' | 'gone' {
    if (!this.#alive) return 'gone';
    this.#alive = false;
    return buffered > 0 ? 'wait' : 'ping';
  }
}
