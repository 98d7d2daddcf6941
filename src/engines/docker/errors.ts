import { NodeError } from '../../core/errors.ts';

/** Docker answered, and did not do what it was asked. */
export class DockerRefusal extends Error {
  /** Of HTTP. */
  readonly status: number;

  constructor(status: number, body: unknown) {
    const { message } = (body ?? {}) as { message?: unknown };
    super(typeof message === 'string' ? message.trim() : `status ${status}, no reason given`);
    this.name = 'DockerRefusal';
    this.status = status;
  }
}

/** An answer that docker-modem makes an error of, as a refusal; undefined for any other error. */
export function refusalOf(error: unknown): DockerRefusal | undefined {
  const { statusCode, json, message } = error as { statusCode?: unknown; json?: unknown; message?: unknown };
  if (typeof statusCode !== 'number') return undefined;
  // Where a stream was expected only the words are left of the answer.
  const words = String(message)
    .replace(/^\(HTTP code \d+\) [^-]* - /, '')
    .trim();
  return new DockerRefusal(statusCode, json ?? (words === '' ? null : { message: words }));
}

/** HTTP status of an answer of Docker that was an error; undefined when there was no answer. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof DockerRefusal ? error.status : undefined;
}

/** For `catch`: an answer with one of these statuses is as good as done. @throws any other error */
export function unless(...statuses: readonly number[]): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof DockerRefusal && statuses.includes(error.status))) throw error;
  };
}

/** In Docker's own words, where it said something. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}

/**
 * An error of a call to Docker as one of the registry: EngineUnavailable when Docker gave no answer,
 * EngineFailed when it answered with an error.
 */
export function toEngineError(what: string, error: unknown): NodeError {
  if (error instanceof NodeError) return error;
  const status = statusOf(error);
  return status === undefined
    ? new NodeError('EngineUnavailable', `Docker did not answer (${what}): ${reasonOf(error)}`, {
        cause: error,
      })
    : new NodeError('EngineFailed', `Docker could not ${what}: ${reasonOf(error)}`, {
        cause: error,
        details: { status: String(status) },
      });
}

/** For `catch`: `toEngineError` of what comes. */
export function asEngineError(what: string): (error: unknown) => never {
  return (error) => {
    throw toEngineError(what, error);
  };
}

const NOT_STARTABLE =
  /exec: "(.*?)": (?:stat .*: )?(executable file not found in \$PATH|no such file or directory|permission denied|is a directory|not a directory)/;

const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOENT', 'EACCES', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH']);

/** True when a call without an answer may have reached Docker, which may then have done what it was asked. */
export function mayHaveArrived(error: unknown): boolean {
  if (statusOf(error) !== undefined) return false;
  const cause = error instanceof NodeError ? error.cause : error;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code !== 'string' || !NOT_CONNECTED.has(code);
}

/** The error of a container that could not be started, as people who wrote the job understand it. */
export function toStartError(error: unknown, image: string): NodeError {
  const reason = reasonOf(error);
  const match = NOT_STARTABLE.exec(reason);
  if (match === null) return toEngineError('start the container', error);
  const [, command = '', why = ''] = match;
  return new NodeError(
    'CommandNotFound',
    `command ${JSON.stringify(command)} cannot be run in image ${image}: ${why} (expected an executable of the image)`,
    { cause: error },
  );
}

/** The error of a container that Docker refused to create. */
export function toCreateError(error: unknown, image: string): NodeError {
  const reason = reasonOf(error);
  if (/no command specified/i.test(reason)) {
    return new NodeError(
      'CommandNotFound',
      `image ${image} has no command of its own and the job names none (expected Entrypoint or Parameters)`,
      { cause: error },
    );
  }
  if (statusOf(error) === 400) {
    return new NodeError('ValidationFailed', `Docker refused the container: ${reason}`, { cause: error });
  }
  return toEngineError('create the container', error);
}

/** True when a create failed because the image is not on this machine. */
export function isImageMissing(error: unknown): boolean {
  return statusOf(error) === 404 && /no such image/i.test(reasonOf(error));
}

/** True when a create failed because a container has this name. */
export function isNameTaken(error: unknown): boolean {
  return statusOf(error) === 409 && /already in use/i.test(reasonOf(error));
}

/** True when a create failed because Docker does not see this file: it runs on another machine, or the node in a container. */
export function isSourceMissing(error: unknown, path: string): boolean {
  return statusOf(error) === 400 && reasonOf(error).includes(`bind source path does not exist: ${path}`);
}

const NO_SUCH_IMAGE =
  /not found|manifest unknown|pull access denied|does not exist|name unknown|unauthorized|authentication required|no matching manifest|access .*denied/i;

/** The error of a pull, from an HTTP answer or from the words inside a stream that began well. */
export function toPullError(image: string, reason: string, status?: number): NodeError {
  const missing = status === 404 || NO_SUCH_IMAGE.test(reason);
  return missing
    ? new NodeError('ImageNotFound', `image ${image} was not found: ${reason}`)
    : new NodeError('ImagePullFailed', `image ${image} could not be pulled: ${reason}`);
}
