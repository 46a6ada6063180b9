#!/usr/bin/env bash
# Runs the scenarios that are too large for loom in many random orders: 4,000 of each, or as many as
# SHUTTLE_SCHEDULES says. Arguments go to the test runner, for example a scenario's name.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/shuttle"
export RUSTFLAGS="--cfg offheap_loom --cfg offheap_shuttle -C debug-assertions"
cargo test --quiet --release -p offheap-loom-tests --test schedules -- "$@"
