#!/usr/bin/env bash
# Weakens every memory ordering of the core in turn and runs the models that come by it. Prints what
# went unnoticed; exits 1 if that is more than what `scripts/orderings.allowed` lists with its argument.
# With `--only src/ledger/at_hand/magazine.rs` those of one file. Goes on where the last run stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo run --quiet -p offheap-mutants -- orderings "$@"
