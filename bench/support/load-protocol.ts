/** What the load process is asked to do, as the JSON text in its only argument. */
export type LoadOrder =
  /**
   * Sends `warmUp` submissions, then `count` more, which are measured; waits for their answers, and until the jobs
   * have completed where that is asked.
   */
  | {
      readonly kind: 'burst';
      /** "http://127.0.0.1:port". */
      readonly origin: string;
      readonly body: string;
      readonly warmUp: number;
      readonly count: number;
      readonly connections: number;
      readonly untilCompleted: boolean;
      /** Process whose CPU time is counted. */
      readonly serverPid: number;
      /** Between two looks for the end; default 5. Looking takes the server's CPU time. */
      readonly lookEveryMs?: number;
    }
  /** Submits one job after the other, each when the one before has completed. */
  | {
      readonly kind: 'alone';
      readonly origin: string;
      readonly body: string;
      readonly count: number;
      /** Between two looks at a job; absent where looking all the time takes nothing from it. */
      readonly lookEveryMs?: number;
    };

/** What came of a burst. */
export interface BurstResult {
  /** From the first request to the last answer. */
  readonly answeredSeconds: number;
  /** From the first request until all jobs were seen completed; as above where that was not asked. */
  readonly seconds: number;
  /** Answers 503, each of which was followed by another attempt. */
  readonly refused: number;
  /** CPU time of the server, user and system, in that time. */
  readonly serverCpuMicros: number;
  /** Of it, what its main thread took. */
  readonly mainThreadMicros: number;
  /** CPU time of the load process itself. */
  readonly loadCpuMicros: number;
}

/** Milliseconds from each submission until it was seen completed. */
export interface AloneResult {
  readonly milliseconds: readonly number[];
}
