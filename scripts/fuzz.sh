#!/usr/bin/env bash
# Fuzzes a target against its model: scripts/fuzz.sh [SECONDS [TARGET]]. The targets are `managers`,
# which is taken if none is named, `waiting`, owners that wait in line, and `abi`, the C ABI. New
# inputs go to a corpus below the target folder, which later runs go on from; crashes go to fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-60}"
target="${2:-managers}"
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz --version 0.13.2
corpus="${CARGO_TARGET_DIR:-target}/fuzz-corpus/$target"
mkdir -p "$corpus" "fuzz/corpus/$target"
cargo fuzz run --sanitizer none --features libfuzzer "$target" "$corpus" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -len_control=20 -print_final_stats=1
