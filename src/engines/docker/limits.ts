/** Bounds of the Docker engine, each with its reason. Times in milliseconds. */
export const dockerLimits = {
  /**
   * Containers being created or started at once, per supervise thread, of which there is one for two cores: on two cores
   * dockerd makes no more a second with sixteen. A start mostly waits where the job's share of a core is small.
   */
  createsAtOnce: 8,
  /** Processes and threads of one container: room for a parallel build or a JVM; a fork bomb ends at it. */
  pidsPerContainer: 1024,
  /** SIGTERM to SIGKILL, in seconds, as Bacalhau gives. */
  stopGraceSeconds: 1,
  /** Docker refuses a lower memory limit. */
  minMemoryBytes: 6_291_456,
  /** Docker refuses a smaller share of a CPU. */
  minCpus: 0.01,
  /** Connections kept for the next calls, per thread: as many calls are made at once while containers start and end. */
  keptConnections: 8,
  /** A connection kept longer may have been closed by a proxy in between; most wait ten seconds or more. */
  keptConnectionMs: 4000,
  /** A look-up that dockerd answers from memory. */
  quickCallMs: 20_000,
  /** Create, start, stop and remove: a busy dockerd takes seconds, a hung one takes for ever. */
  slowCallMs: 120_000,
  /** A pull that says nothing for so long has stalled; dockerd reports progress several times a second. */
  pullSilenceMs: 120_000,
  /** One line of a pull's progress; the longest ones in use have some hundred bytes. */
  pullLineBytes: 1_048_576,
  /** Progress of a pull is passed on this often at most. */
  pullReportMs: 500,
  /** The log stream ends with the container; what has not come by then is lost. */
  logTailMs: 10_000,
  /** A container whose exit was not announced is found by looking this often. */
  exitCheckMs: 30_000,
  /** Readers of the output are woken this often at most. */
  outputReportMs: 100,
  /** Result folders of a running job are measured this often at most. */
  resultCheckMs: 1000,
} as const;

/** Milliseconds before each next attempt to remove a container that dockerd failed to remove. */
export const removeRetryMs: readonly number[] = [100, 500, 2000, 5000];
