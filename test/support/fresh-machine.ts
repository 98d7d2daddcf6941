import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { debianRoot, ownRelease } from './debian-root.ts';
import { connectRoot, installNode, networkVariables, npmSettings } from './npm-network.ts';
import { isRootDebian, run, servicesForbidden } from './services/service.ts';

/** Debian alone, with Node.js 20 and npm: no Docker, no IPFS, no compiler. Gone after `remove`. */
export interface FreshMachine {
  /** Runs a shell command in a copy of this repository there, in a terminal's process group of its own. */
  shell(command: string, env?: Readonly<Record<string, string>>): FreshProcess;
  remove(): Promise<void>;
}

export interface FreshProcess {
  /** stdout and stderr as they came. */
  readonly output: string;
  readonly stdout: string;
  readonly ended: Promise<number>;
  readonly running: boolean;
  /** What Ctrl+C does in a terminal. */
  interrupt(): void;
  /** Ends it and all that it started. */
  kill(): void;
}

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const HOME = '/root';
const FOLDER = `${HOME}/bacalhau-node`;
/** What a Node.js installation of that age brings. */
const VERSIONS = { node: '20', npm: '10' };
/** Not part of a checkout. */
const LEFT_OUT = new Set(['.git', 'node_modules', 'dist', 'coverage']);

/** A fresh machine, or why there can be none here. */
export async function freshMachine(): Promise<FreshMachine | { readonly skip: string }> {
  if (servicesForbidden()) return { skip: 'TEST_SERVICES=none: no Debian root is made' };
  if (process.arch !== 'x64' || !(await isRootDebian())) {
    return { skip: 'a fresh Debian root is made only as root on Debian, on x64' };
  }
  const isolated = await run('unshare', ['--mount', '--pid', '--fork', '--mount-proc', 'true']);
  if (isolated.code !== 0) return { skip: `no mount namespaces here: ${isolated.stderr.trim().slice(-200)}` };
  const base = await baseSystem();
  if (typeof base !== 'string') return base;
  const root = await mkdtemp(join(tmpdir(), 'bacalhau-fresh-'));
  try {
    const machine = join(root, 'root');
    const copied = await run('cp', ['-a', '--reflink=auto', base, machine], { timeoutMs: 120_000 });
    if (copied.code !== 0) throw new Error(`copying the base system: ${copied.stderr.trim().slice(-300)}`);
    const npm = await npmSettings();
    await connectRoot(machine, npm);
    await checkout(join(machine, FOLDER));
    return new Chroot(root, machine, npm.cache);
  } catch (error) {
    await rm(root, { recursive: true, force: true });
    throw error;
  }
}

/** Path of an unpacked Debian of this machine's release with Node.js 20 and npm in it, kept in the cache folder. */
async function baseSystem(): Promise<string | { readonly skip: string }> {
  const release = await ownRelease();
  if (release === undefined) return { skip: '/etc/os-release names no release of Debian' };
  return debianRoot({ name: `${release}-node20`, release, prepare: (root) => installNode(root, VERSIONS) });
}

/** This repository as `git clone` would bring it. */
async function checkout(target: string): Promise<void> {
  await cp(REPOSITORY, target, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !LEFT_OUT.has(relative(REPOSITORY, source).split(sep)[0] ?? ''),
  });
}

/** Mounts what a system needs where only this process and its children see it, then changes into the root. */
const ENTER = `
set -e
root=$1; cache=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/root/.npm" && mount --bind "$cache" "$root/root/.npm"
exec chroot "$root" env -i "$@"
`;

class Chroot implements FreshMachine {
  readonly #folder: string;
  readonly #machine: string;
  readonly #cache: string;
  readonly #processes: Set<FreshProcess> = new Set();

  constructor(folder: string, machine: string, cache: string) {
    this.#folder = folder;
    this.#machine = machine;
    this.#cache = cache;
  }

  shell(command: string, env: Readonly<Record<string, string>> = {}): FreshProcess {
    const variables = {
      ...networkVariables(),
      HOME,
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ...env,
    };
    const child = spawn(
      'unshare',
      [
        ...[
          '--mount',
          '--pid',
          '--fork',
          '--kill-child',
          '--',
          'sh',
          '-c',
          ENTER,
          'sh',
          this.#machine,
          this.#cache,
        ],
        ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
        ...['sh', '-c', `cd ${FOLDER} && ${command}`],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    const process_ = new Process(child);
    this.#processes.add(process_);
    void process_.ended.then(() => this.#processes.delete(process_));
    return process_;
  }

  async remove(): Promise<void> {
    for (const one of [...this.#processes]) {
      one.kill();
      await one.ended;
    }
    // The mounts went with their processes; a folder of theirs that is not empty would be this machine's own.
    for (const name of ['proc', 'dev', 'root/.npm']) {
      const inside = await readdir(join(this.#machine, name));
      if (name !== 'dev' && inside.length > 0)
        throw new Error(`${name} of the fresh machine is still mounted`);
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

class Process implements FreshProcess {
  output = '';
  stdout = '';
  readonly ended: Promise<number>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    child.stdout?.on('data', (text: string) => {
      this.stdout += text;
    });
    this.ended = new Promise((resolve) => {
      child.once('error', () => resolve(-1));
      child.once('close', (code) => resolve(code ?? -1));
    });
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  interrupt(): void {
    if (this.#child.pid !== undefined && this.running) process.kill(-this.#child.pid, 'SIGINT');
  }

  kill(): void {
    if (this.#child.pid !== undefined && this.running) process.kill(this.#child.pid, 'SIGKILL');
  }
}
