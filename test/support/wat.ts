import wabt from 'wabt';

const ready = wabt();

/** Assembles WebAssembly text, with the proposals that V8 has. */
export async function wat(text: string): Promise<Uint8Array> {
  const assembler = await ready;
  const features = { exceptions: true, multi_memory: true, threads: true, memory64: true, gc: true };
  const module = assembler.parseWat('test.wat', text, features);
  try {
    return new Uint8Array(module.toBinary({}).buffer);
  } finally {
    module.destroy();
  }
}
