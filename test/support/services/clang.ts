import { aptInstall, run, type ServiceStart, servicesForbidden, which } from './service.ts';

const PACKAGES = ['clang', 'lld', 'wasi-libc', 'libclang-rt-14-dev-wasm32'] as const;

/**
 * A C compiler for WASI: BACALHAU_TEST_CLANG is the path of a clang that builds wasm32-wasi commands. Uses the
 * one on the PATH where it can, else installs Debian's. Nothing is started, so nothing has to be stopped.
 */
export async function startClang(): Promise<ServiceStart> {
  const given = process.env['BACALHAU_TEST_CLANG'];
  const found = given !== undefined && given !== '' ? given : await which('clang');
  if (found !== undefined && (await builds(found))) return running(found);
  if (servicesForbidden()) return { skip: 'TEST_SERVICES=none, and no clang here builds for wasm32-wasi' };
  const failure = await aptInstall(PACKAGES);
  if (failure !== undefined) return { skip: `no clang that builds for wasm32-wasi: ${failure}` };
  const installed = await which('clang');
  if (installed !== undefined && (await builds(installed))) return running(installed);
  return { skip: `clang does not build for wasm32-wasi, although ${PACKAGES.join(', ')} are installed` };
}

function running(clang: string): ServiceStart {
  return { env: { BACALHAU_TEST_CLANG: clang }, stop: () => Promise.resolve() };
}

/** True when it compiles and links a command against wasi-libc. */
async function builds(clang: string): Promise<boolean> {
  const args = ['--target=wasm32-wasi', '-x', 'c', '-', '-o', '/dev/null'];
  const result = await run(clang, args, {
    input: '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n',
  });
  return result.code === 0;
}
