import { chmodSync, existsSync, rmSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** After the compiler: what makes `npx bacalhau` work in a checkout. */
const root = new URL('..', import.meta.url);
const main = fileURLToPath(new URL('dist/main.js', root));
chmodSync(main, 0o755);

// npm links the commands of dependencies, not those of the package itself; beside them lies the Node.js it needs.
const bin = fileURLToPath(new URL('node_modules/.bin/', root));
if (existsSync(bin)) {
  rmSync(`${bin}bacalhau`, { force: true });
  symlinkSync('../../dist/main.js', `${bin}bacalhau`);
}
