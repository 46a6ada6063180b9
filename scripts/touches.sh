#!/usr/bin/env bash
# Counts how often which shared words are touched, and how often cache lines move between threads.
# `--places` names every line of the code, too.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"
output="$target/rivals"
RUSTFLAGS="--cfg offheap_count" CARGO_TARGET_DIR="$target/count" \
    cargo run --quiet --release -p rivals --bin touches -- --output "$output" "$@"
