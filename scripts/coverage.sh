#!/usr/bin/env bash
# Which lines of the library its tests reach, floor by floor; with `--lines` each line of floors 0 to 4 that
# they do not. `SAFETY.md` says why those are not reached. Exits 1 if floors 0 to 4 are below 95 %. Needs
# cargo-llvm-cov, Python, and the llvm-cov of the compiler's LLVM, if `rustup` has none in LLVM_COV and
# LLVM_PROFDATA. The models are not counted: they are another build.
set -euo pipefail
cd "$(dirname "$0")/.."
report="${CARGO_TARGET_DIR:-$PWD/target}/coverage.json"
command -v cargo-llvm-cov >/dev/null || cargo install --quiet --locked cargo-llvm-cov
packages=(-p offheap -p offheap-paging -p offheap-fuzz -p offheap-operators -p offheap-fault-tests)
features=offheap/c-abi,offheap/serde,offheap/metrics,offheap/tracing,offheap/track-allocations
features+=,offheap-paging/serde,offheap-paging/metrics,offheap-paging/tracing
# What is counted takes more address space than a test of its limit leaves.
cargo llvm-cov --no-report --no-fail-fast --features "$features" "${packages[@]}" --lib --tests >&2 ||
    echo "a test failed: its lines are counted all the same" >&2
cargo llvm-cov report -p offheap -p offheap-paging -p offheap-operators --json --output-path "$report" >&2
python3 scripts/coverage.py "$report" "$@"
