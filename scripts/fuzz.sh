#!/usr/bin/env bash
# Fuzzes the targets against their models. Every way notes its calls in a ledger below the target
# folder, and goes on from where the last run stopped:
#   scripts/fuzz.sh [SECONDS [TARGET]]         steered by coverage, with cargo-fuzz; `managers` if no
#                                              target is named. New inputs go to a corpus below the
#                                              target folder, crashes to fuzz/artifacts
#   scripts/fuzz.sh seeded [SECONDS [CALLS]]   long sequences from seeds, all targets in turn, until the
#                                              ledger has so many calls, 10^9 if none are named
#   scripts/fuzz.sh sums                       what the ledger sums up to
#   scripts/fuzz.sh coverage                   the lines of the core that the committed corpora and a
#                                              few seeds reach, floor by floor; needs cargo-llvm-cov
#                                              and Python
set -euo pipefail
cd "$(dirname "$0")/.."
build="${CARGO_TARGET_DIR:-$PWD/target}"
export OFFHEAP_FUZZ_LEDGER="$build/fuzz-ledger.tsv"
# Memory of the process allocator stays with the process: what is fuzzed is not the kernel.
export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296
seeded() { cargo run --quiet --release -p offheap-fuzz --bin seeded -- "$OFFHEAP_FUZZ_LEDGER" "$@"; }

case "${1:-60}" in
seeded) seeded "${2:-60}" "${3:-1000000000}" ;;
sums) seeded ;;
coverage)
    cargo llvm-cov --no-report --release -p offheap-fuzz --tests >&2
    cargo llvm-cov report --release -p offheap -p offheap-operators --json \
        --output-path "$build/fuzz-coverage.json" >&2
    python3 scripts/coverage.py "$build/fuzz-coverage.json" --fuzz
    ;;
*)
    seconds="${1:-60}"
    target="${2:-managers}"
    command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz --version 0.13.2
    corpus="$build/fuzz-corpus/$target"
    mkdir -p "$corpus" "fuzz/corpus/$target"
    cargo fuzz run --sanitizer none --features libfuzzer "$target" "$corpus" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -len_control=20 -print_final_stats=1
    seeded
    ;;
esac
