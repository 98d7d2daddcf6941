import { webAssembly } from '../../src/engines/wasm/webassembly.ts';

/** A function that instantiates and runs a command module once, with an `fd_write` that does nothing. */
export function bareWasm(module: Uint8Array): () => void {
  const compiled = new webAssembly.Module(module);
  const imports = { wasi_snapshot_preview1: { fd_write: () => 0 } };
  return () => {
    const start = new webAssembly.Instance(compiled, imports).exports['_start'];
    if (typeof start !== 'function') throw new Error('the module has no _start');
    start();
  };
}
