#!/usr/bin/env bash
# Fuzzes the managers against the model: scripts/fuzz.sh [SECONDS]. New inputs go to a corpus below
# the target folder, which later runs go on from; crashes go to fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-60}"
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz --version 0.13.2
corpus="${CARGO_TARGET_DIR:-target}/fuzz-corpus/managers"
mkdir -p "$corpus"
cargo fuzz run --sanitizer none --features libfuzzer managers "$corpus" fuzz/corpus/managers -- \
    -max_total_time="$seconds" -max_len=4096 -len_control=20 -print_final_stats=1
