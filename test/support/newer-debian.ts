import { spawn } from 'node:child_process';
import { dirname, join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { debianRoot } from './debian-root.ts';
import type { ReportedTest, ReportedWord } from './ndjson-reporter.ts';
import { run } from './services/service.ts';

/** Debian 13: glibc 2.41. */
const RELEASE = 'trixie';
/** Set inside, so that a file which is at home nowhere does not look for a home again. */
const MARK = 'BACALHAU_TEST_NEWER_DEBIAN';
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const REPORTER = fileURLToPath(new URL('ndjson-reporter.ts', import.meta.url));
const FIXTURES = resolve(process.env['BACALHAU_FIXTURES'] ?? join(REPOSITORY, '../shared'));

/**
 * Puts folders where they are outside, which only this process and its children see, and changes into the root. Those
 * below /tmp come last: nothing else of it is there.
 */
const ENTER = `
set -e
root=$1; count=$2; shift 2
mkdir -p "$root/tmp"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
while [ "$count" -gt 0 ]; do
  if [ -d "$1" ]; then
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
  fi
  shift
  count=$((count - 1))
done
cp /etc/hosts "$root/etc/hosts"
exec chroot "$root" env -i "$@"
`;

/** A command of this Node.js in a root of Debian 13. */
export interface InNewerDebian {
  /** Arguments of Node.js; its working directory is the repository. */
  readonly args: readonly string[];
  /** Beside the repository and this Node.js; parents before what is in them. */
  readonly folders?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Makes the root where there is none yet.
 * @returns the command line that runs such commands there, or why there can be none here
 */
export async function newerDebian(): Promise<
  ((command: InNewerDebian) => readonly string[]) | { readonly skip: string }
> {
  const root = await debianRoot({ name: `${RELEASE}-base`, release: RELEASE });
  if (typeof root !== 'string') return root;
  const isolated = await run('unshare', ['--mount', '--pid', '--fork', '--mount-proc', 'true']);
  if (isolated.code !== 0) return { skip: `no mount namespaces here: ${isolated.stderr.trim().slice(-200)}` };
  const node = dirname(process.execPath);
  return ({ args, folders = [], env = {} }) => {
    const all = [...folders, REPOSITORY, node];
    const variables = { PATH: `${node}:/usr/sbin:/usr/bin`, HOME: '/tmp', [MARK]: '1', ...env };
    return [
      ...['unshare', '--mount', '--pid', '--fork', '--kill-child', '--', 'sh', '-c', ENTER, 'sh'],
      ...[root, String(all.length), ...all, `--chdir=${REPOSITORY}`],
      ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      ...['node', ...args],
    ];
  };
}

/**
 * Runs a test file in a root of Debian 13, where a binary loads that this machine is too old for. Each test there is
 * one here.
 * @param why what keeps it from running here
 */
export function inNewerDebian(file: string, why: string): void {
  const name = relative(REPOSITORY, fileURLToPath(file));
  it(`${name} in a root of Debian 13`, async (t) => {
    if (process.env[MARK] === '1') throw new Error(`nor does it run in Debian 13: ${why}`);
    const inside = await newerDebian();
    if ('skip' in inside) {
      console.warn(`SKIPPED: ${name}: ${why}, and ${inside.skip}`);
      t.skip(inside.skip);
      return;
    }
    const command = inside({
      args: ['--test', `--test-reporter=${REPORTER}`, name],
      folders: [FIXTURES],
      env: { BACALHAU_FIXTURES: FIXTURES },
    });
    await relay(t, name, command);
  });
}

/** Each test that the command reports is one here. */
async function relay(t: TestContext, name: string, [file = '', ...args]: readonly string[]): Promise<void> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve_) => child.once('close', resolve_));
  t.after(() => child.kill('SIGKILL'));
  let rest = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    rest = (rest + text).slice(-10_000);
  });
  let tests = 0;
  let failures = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('{')) {
      rest = `${rest}${line}\n`.slice(-10_000);
      continue;
    }
    const test = JSON.parse(line) as ReportedTest | ReportedWord;
    if ('diagnostic' in test) {
      t.diagnostic(test.diagnostic);
      continue;
    }
    tests += 1;
    if (test.failure !== undefined) failures += 1;
    await t.test(test.name, (inner) => {
      if (test.skip !== undefined) inner.skip(test.skip);
      if (test.failure !== undefined) throw new Error(test.failure);
    });
  }
  const code = await ended;
  if (tests === 0 || (code !== 0 && failures === 0)) {
    throw new Error(`${name} in Debian 13 ended with ${code} after ${tests} tests:\n${rest}`);
  }
}
