import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
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
 * Puts the repository, this Node.js and the fixtures where they are outside, which only this process and its children
 * see, and changes into the root.
 */
const ENTER = `
set -e
root=$1; repository=$2; node=$3; fixtures=$4; shift 4
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for path in "$repository" "$node" "$fixtures"; do
  [ -d "$path" ] || continue
  mkdir -p "$root$path"
  mount --bind "$path" "$root$path"
done
cp /etc/hosts "$root/etc/hosts"
cd "$root$repository"
exec chroot "$root" env -i "$@"
`;

/**
 * Runs a test file in a root of Debian 13, where a binary loads that this machine is too old for. Each test there is
 * one here.
 * @param why what keeps it from running here
 */
export function inNewerDebian(file: string, why: string): void {
  const name = relative(REPOSITORY, fileURLToPath(file));
  it(`${name} in a root of Debian 13`, async (t) => {
    if (process.env[MARK] === '1') throw new Error(`nor does it run in Debian 13: ${why}`);
    const root = await debianRoot({ name: `${RELEASE}-base`, release: RELEASE });
    const isolated = await run('unshare', ['--mount', '--pid', '--fork', '--mount-proc', 'true']);
    const skip =
      typeof root === 'string'
        ? isolated.code === 0
          ? undefined
          : `no mount namespaces here: ${isolated.stderr.trim().slice(-200)}`
        : root.skip;
    if (typeof root !== 'string' || skip !== undefined) {
      console.warn(`SKIPPED: ${name}: ${why}, and ${skip}`);
      t.skip(skip);
      return;
    }
    await runInside(t, root, name);
  });
}

async function runInside(t: TestContext, root: string, name: string): Promise<void> {
  const node = dirname(process.execPath);
  await mkdir(join(root, 'tmp'), { recursive: true });
  const child = spawn(
    'unshare',
    [
      ...['--mount', '--pid', '--fork', '--kill-child', '--', 'sh', '-c', ENTER, 'sh'],
      ...[root, REPOSITORY, node, FIXTURES],
      ...[`PATH=${node}:/usr/sbin:/usr/bin`, 'HOME=/tmp', `${MARK}=1`, `BACALHAU_FIXTURES=${FIXTURES}`],
      ...['sh', '-c', `cd '${REPOSITORY}' && exec node --test --test-reporter='${REPORTER}' '${name}'`],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
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
