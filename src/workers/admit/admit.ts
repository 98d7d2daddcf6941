import { mkdirSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { NodeError, toErrorData } from '../../core/errors.ts';
import { isCompleteId } from '../../core/ids.ts';
import type { AdmitInput, AdmitOptions, AdmitOutput } from './protocol.ts';
import { removeTree } from './remove.ts';

/** Only the node looks in; containers get the folders below as mounts. */
const EXECUTION_MODE = 0o700;
const FOLDER_MODE = 0o755;
const NO_ROOM: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Makes and removes the directories executions live in. Its calls are synchronous: this thread does nothing else, and
 * libuv's few threads are busy with the stores' flushes.
 */
export class Admission {
  readonly #directory: string;

  constructor(options: AdmitOptions) {
    if (!isAbsolute(options.executionsDirectory)) {
      throw new TypeError(`executionsDirectory must be absolute: ${options.executionsDirectory}`);
    }
    this.#directory = options.executionsDirectory;
  }

  /**
   * place: makes `<executions>/<execution id>/{inputs,results}`; what an earlier attempt left there goes first.
   * remove: removes all of it; nothing there is fine.
   * @throws NodeError DiskFull, ValidationFailed (no execution id), Internal (anything else of the file system)
   */
  async handle(input: AdmitInput): Promise<AdmitOutput> {
    const { executionId } = input;
    if (!executionId.startsWith('e-') || !isCompleteId(executionId)) {
      throw new NodeError(
        'ValidationFailed',
        `executionId: expected "e-<uuid>", got ${JSON.stringify(executionId)}`,
      );
    }
    const directory = join(this.#directory, executionId);
    try {
      switch (input.kind) {
        case 'place':
          await this.#makeEmpty(directory);
          mkdirSync(join(directory, 'inputs'), { mode: FOLDER_MODE });
          mkdirSync(join(directory, 'results'), { mode: FOLDER_MODE });
          return { directory, gpus: input.gpus };
        case 'remove':
          await removeTree(directory);
          return { directory, gpus: [] };
      }
    } catch (thrown) {
      throw directoryError(input.kind, directory, thrown);
    }
  }

  /** One call where nothing is in the way. */
  async #makeEmpty(directory: string): Promise<void> {
    try {
      mkdirSync(directory, { mode: EXECUTION_MODE });
      return;
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === 'ENOENT') mkdirSync(this.#directory, { recursive: true, mode: EXECUTION_MODE });
      else if (code === 'EEXIST') await removeTree(directory);
      else throw thrown;
    }
    mkdirSync(directory, { mode: EXECUTION_MODE });
  }
}

function directoryError(doing: AdmitInput['kind'], directory: string, thrown: unknown): NodeError {
  const full = NO_ROOM.has((thrown as NodeJS.ErrnoException).code ?? '');
  const done = doing === 'place' ? 'made' : 'removed';
  return new NodeError(
    full ? 'DiskFull' : 'Internal',
    `the directory ${directory} could not be ${done}${full ? ', because the disk is full' : ''}: ${toErrorData(thrown).message}`,
    { cause: thrown },
  );
}
