import type { Faults } from './faults.ts';

/** Names are parts of store keys, which are limited to 1978 bytes. */
const NAME_BYTES = 256;
const CONTROL = /[\u0000-\u001f\u007f]/;

/** A name that can be printed on one line and be part of a store's key. Empty is allowed. */
export function validateName(name: string, path: string, faults: Faults): void {
  if (CONTROL.test(name)) faults.add(path, 'contains a control character (expected printable text)');
  if (name.length > NAME_BYTES || (name.length > NAME_BYTES / 4 && Buffer.byteLength(name) > NAME_BYTES)) {
    faults.add(path, `has ${Buffer.byteLength(name)} bytes in UTF-8 (the maximum allowed is ${NAME_BYTES})`);
  }
}
