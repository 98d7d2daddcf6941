;; Prints one line: the smallest WASI program there is. Assembled: wat2wasm hello.wat
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $iovs i32) (param $count i32) (param $written i32) (result i32)))
  (memory (export "memory") 1)
  ;; At 0 one iovec: address 8 (little-endian) and length 16. At 8 the text.
  (data (i32.const 0) "\08\00\00\00\10\00\00\00hello bacalhau!\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 40)))))
