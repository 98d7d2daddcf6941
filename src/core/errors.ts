/** What the registry says of an error code. */
export interface ErrorSpec {
  /** HTTP status of a reply that carries it. */
  readonly status: number;
  /** `Code` of the REST error envelope. */
  readonly wireCode: string;
  /** `Component` of the REST error envelope. */
  readonly component: string;
  /** True when the same request may succeed later. */
  readonly retryable: boolean;
  /** What to do about it, for people. */
  readonly hint?: string;
}

/**
 * Every error the node raises on purpose. `docs/ERRORS.md` lists the same codes; a test holds them together.
 * Codes are added in the block of the room that raises them.
 */
const registry = {
  // core, ingest
  ValidationFailed: { status: 400, wireCode: 'ValidationError', component: 'Ingest', retryable: false },
  MalformedBody: { status: 400, wireCode: 'BadRequest', component: 'APIServer', retryable: false },
  BodyTooLarge: { status: 413, wireCode: 'BadRequest', component: 'APIServer', retryable: false },
  // api
  RouteNotFound: {
    status: 404,
    wireCode: 'NotFound',
    component: 'APIServer',
    retryable: false,
    hint: 'The server version may be older than this CLI version and does not support the endpoint yet.',
  },
  MethodNotAllowed: { status: 405, wireCode: 'BadRequest', component: 'APIServer', retryable: false },
  BadQuery: { status: 400, wireCode: 'BadRequest', component: 'APIServer', retryable: false },
  MalformedRequest: { status: 400, wireCode: 'BadRequest', component: 'APIServer', retryable: false },
  HeadersTooLarge: { status: 431, wireCode: 'BadRequest', component: 'APIServer', retryable: false },
  RequestTooSlow: { status: 408, wireCode: 'TimeOut', component: 'APIServer', retryable: true },
  HandlerTimedOut: { status: 503, wireCode: 'TimeOut', component: 'APIServer', retryable: true },
  LocalOnly: {
    status: 403,
    wireCode: 'Forbidden',
    component: 'APIServer',
    retryable: false,
    hint: "Send the request from the node's own machine, to its loopback address.",
  },
  OriginNotAllowed: {
    status: 403,
    wireCode: 'Forbidden',
    component: 'APIServer',
    retryable: false,
    hint: "Pages of the node's own machine may; API.AllowedOrigins names others.",
  },
  SignatureInvalid: { status: 400, wireCode: 'BadRequest', component: 'APIServer', retryable: false },
  NotApprover: {
    status: 401,
    wireCode: 'Unauthorized',
    component: 'APIServer',
    retryable: false,
    hint: "The node's JobAdmissionControl.Approver (BACALHAU_JOB_APPROVER) names the client that may.",
  },
  UpgradeRequired: { status: 426, wireCode: 'BadRequest', component: 'APIServer', retryable: false },
  ClientGone: { status: 499, wireCode: 'RequestCancelled', component: 'APIServer', retryable: false },
  RateLimited: { status: 429, wireCode: 'TooManyRequests', component: 'APIServer', retryable: true },
  Busy: {
    status: 503,
    wireCode: 'ServiceUnavailable',
    component: 'Ingest',
    retryable: true,
    hint: 'The node takes no more work at this moment. Send the request again after the Retry-After time.',
  },
  Stopping: { status: 503, wireCode: 'ServiceUnavailable', component: 'Node', retryable: true },
  Internal: { status: 500, wireCode: 'InternalError', component: 'Unknown', retryable: false },
  // requester
  JobNotFound: { status: 404, wireCode: 'NotFound', component: 'JobStore', retryable: false },
  MultipleJobsFound: {
    status: 409,
    wireCode: 'MultipleJobsFound',
    component: 'JobStore',
    retryable: false,
    hint: 'Use full job ID',
  },
  ExecutionNotFound: { status: 404, wireCode: 'NotFound', component: 'JobStore', retryable: false },
  NodeOutOfReach: {
    status: 503,
    wireCode: 'ServiceUnavailable',
    component: 'NodesManager',
    retryable: true,
    hint: 'The node that ran the execution is not connected now: "bacalhau node list --show seen" says since when. Try again when it is back.',
  },
  NodeNotFound: { status: 404, wireCode: 'NotFound', component: 'NodesManager', retryable: false },
  JobUnchanged: {
    status: 409,
    wireCode: 'ConflictJobState',
    component: 'Orchestrator',
    retryable: false,
    hint: 'Use the --force flag to override this warning',
  },
  NodeStateConflict: {
    status: 409,
    wireCode: 'ConflictNodeState',
    component: 'NodesManager',
    retryable: false,
  },
  MultipleNodesFound: {
    status: 409,
    wireCode: 'MultipleNodesFound',
    component: 'NodesManager',
    retryable: false,
    hint: 'Use full node ID',
  },
  JobStateConflict: { status: 409, wireCode: 'ConflictJobState', component: 'JobStore', retryable: false },
  // peers
  LinkLost: { status: 503, wireCode: 'NetworkFailure', component: 'Net', retryable: true },
  MessageInvalid: { status: 400, wireCode: 'BadRequest', component: 'Net', retryable: false },
  // store
  StoreLocked: { status: 500, wireCode: 'DatastoreFailure', component: 'Store', retryable: false },
  StoreForeign: { status: 500, wireCode: 'DatastoreFailure', component: 'Store', retryable: false },
  StoreFailed: { status: 500, wireCode: 'DatastoreFailure', component: 'Store', retryable: true },
  IllegalTransition: { status: 500, wireCode: 'ConflictJobState', component: 'Store', retryable: false },
  // config
  ConfigInvalid: { status: 400, wireCode: 'ConfigurationError', component: 'Config', retryable: false },
  PortInUse: { status: 500, wireCode: 'ConfigurationError', component: 'Net', retryable: false },
  DataDirInUse: { status: 500, wireCode: 'ConfigurationError', component: 'Node', retryable: false },
  // cli
  CommandInvalid: { status: 400, wireCode: 'BadRequest', component: 'CLI', retryable: false },
  NodeUnreachable: {
    status: 503,
    wireCode: 'NetworkFailure',
    component: 'CLI',
    retryable: true,
    hint: 'Start a node with "bacalhau serve", or name the one to call with --api-host and --api-port (BACALHAU_API_HOST, BACALHAU_API_PORT).',
  },
  RequestFailed: { status: 502, wireCode: 'BadRequest', component: 'CLI', retryable: false },
  DownloadFailed: { status: 502, wireCode: 'NetworkFailure', component: 'CLI', retryable: true },
  // executions
  EngineUnavailable: { status: 503, wireCode: 'ServiceUnavailable', component: 'Engine', retryable: true },
  EngineFailed: { status: 500, wireCode: 'InternalError', component: 'Engine', retryable: true },
  ImageNotFound: {
    status: 404,
    wireCode: 'NotFound',
    component: 'Docker',
    retryable: false,
    hint: 'Check that the image exists in the registry and that its name is right. For a private image, give the node DOCKER_USERNAME and DOCKER_PASSWORD.',
  },
  ImagePullFailed: { status: 502, wireCode: 'NetworkFailure', component: 'Docker', retryable: true },
  CommandNotFound: { status: 400, wireCode: 'BadRequest', component: 'Docker', retryable: false },
  OutOfMemory: {
    status: 500,
    wireCode: 'ResourceExhausted',
    component: 'Engine',
    retryable: false,
    hint: 'Ask for more memory with --memory.',
  },
  WasmTrap: { status: 500, wireCode: 'InternalError', component: 'Wasm', retryable: false },
  WasmInvalid: { status: 400, wireCode: 'BadRequest', component: 'Wasm', retryable: false },
  ExecutionTimedOut: {
    status: 504,
    wireCode: 'TimeOut',
    component: 'Execution',
    retryable: false,
    hint: 'Increase the task timeout or allocate more resources.',
  },
  ExecutionLost: { status: 500, wireCode: 'InternalError', component: 'Execution', retryable: true },
  ExecutionCancelled: { status: 409, wireCode: 'RequestCancelled', component: 'Execution', retryable: false },
  // inputs, results
  InputInvalid: { status: 400, wireCode: 'BadRequest', component: 'Storage', retryable: false },
  InputUnavailable: { status: 502, wireCode: 'NetworkFailure', component: 'Storage', retryable: true },
  InputTooLarge: { status: 413, wireCode: 'ResourceExhausted', component: 'Storage', retryable: false },
  InputForbidden: { status: 403, wireCode: 'Forbidden', component: 'Storage', retryable: false },
  OutputTooLarge: { status: 413, wireCode: 'ResourceExhausted', component: 'Execution', retryable: false },
  PublishFailed: { status: 502, wireCode: 'IOError', component: 'Publisher', retryable: true },
  SubprocessFailed: { status: 500, wireCode: 'InternalError', component: 'Subprocess', retryable: true },
  DiskFull: { status: 507, wireCode: 'ResourceExhausted', component: 'Disk', retryable: true },
} as const;

/** One of the registered codes. */
export type ErrorCode = keyof typeof registry;

/** What the registry says of each code. */
export const errorRegistry: Readonly<Record<ErrorCode, ErrorSpec>> = registry;

/** An error as data: what crosses threads, peers and restarts. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** An error of the registry. */
export class NodeError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string>> | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: Readonly<Record<string, string>>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'NodeError';
    this.code = code;
    this.details = options.details;
  }

  get spec(): ErrorSpec {
    return errorRegistry[this.code];
  }
}

/** Any thrown value as data. What is not a NodeError becomes `fallback` with the same text. */
export function toErrorData(thrown: unknown, fallback: ErrorCode = 'Internal'): ErrorData {
  if (thrown instanceof NodeError) {
    return thrown.details === undefined
      ? { code: thrown.code, message: thrown.message }
      : { code: thrown.code, message: thrown.message, details: thrown.details };
  }
  return { code: fallback, message: thrown instanceof Error ? thrown.message : String(thrown) };
}

/** The error that `data` describes. */
export function fromErrorData(data: ErrorData): NodeError {
  return new NodeError(data.code, data.message, data.details === undefined ? {} : { details: data.details });
}

/** True when the work that failed so may be tried again. */
export function isRetryable(data: ErrorData): boolean {
  return errorRegistry[data.code].retryable;
}
