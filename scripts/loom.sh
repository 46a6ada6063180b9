#!/usr/bin/env bash
# Runs the loom models in both modes. Arguments go to the test runner, for example a model's name.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
run() { # cfg flags, preemptions
    RUSTFLAGS="$1 -C debug-assertions" LOOM_MAX_PREEMPTIONS="$2" \
        cargo test --quiet --release -p offheap-loom-tests --tests -- "${@:3}"
}
run "--cfg offheap_loom" 3 "$@"
run "--cfg offheap_loom --cfg offheap_loom_rmw" 4 "$@"
