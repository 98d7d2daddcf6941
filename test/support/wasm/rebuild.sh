#!/bin/sh
# Builds the .wasm files of this folder from the C sources beside them.
# Needs: apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32
set -eu
cd "$(dirname "$0")"
for source in *.c; do
  clang --target=wasm32-wasi -Os -Wall -Werror -Wno-unused-parameter -Wl,--strip-all "$source" -o "${source%.c}.wasm"
done
