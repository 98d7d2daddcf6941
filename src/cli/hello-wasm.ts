/** A module that prints one line, as text: small enough to paste, with nothing to install. */
export const HELLO_WASM_BASE64 =
  'AGFzbQEAAAABDAJgBH9/f38Bf2AAAAIjARZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxCGZkX3dyaXRlAAADAgEBBQMBAAEHEwIGbWVtb3J5AgAGX3N0YXJ0AAEKDwENAEEBQQBBAUEoEAAaCwseAQBBAAsYCAAAABAAAABoZWxsbyBiYWNhbGhhdSEK';
