import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, run, which } from './services/service.ts';

const sources = fileURLToPath(new URL('./wasm/', import.meta.url));
const GO_BUILD_MS = 300_000;

/** The Go program, built once and kept by the hash of its source. */
export async function goProgram(): Promise<Uint8Array | string> {
  const go = await which('go');
  if (go === undefined) return 'no Go toolchain on the PATH (Go 1.21 or newer builds it)';
  const source = await readFile(join(sources, 'walker/main.go'));
  const version = await run(go, ['version']);
  const key = createHash('sha256').update(source).update(version.stdout).digest('hex').slice(0, 16);
  const built = join(await cacheDirectory('wasm'), `walker-${key}.wasm`);
  try {
    return await readFile(built);
  } catch {
    // Not built yet.
  }
  const env = { GOOS: 'wasip1', GOARCH: 'wasm', CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' };
  const result = await run(go, ['build', '-o', built, '.'], {
    cwd: join(sources, 'walker'),
    env,
    timeoutMs: GO_BUILD_MS,
  });
  return result.code === 0 ? readFile(built) : `go build failed: ${result.stderr.trim().slice(-300)}`;
}
