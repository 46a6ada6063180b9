#!/usr/bin/env bash
# Applies every mutant that cargo-mutants lists for floors 0 to 4, one at a time, and runs the tests and
# models that come by it. Prints what went unnoticed; exits 1 if that is more than what
# `scripts/mutants.allowed` lists with its argument. With `--only src/ledger/waiting/wait_queue.rs` those of one file. Goes
# on where the last run stopped, and judges anew what is in files that changed since; `--again` also what
# went unnoticed. About an hour on two cores, if nothing was judged before.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-mutants >/dev/null || cargo install --quiet --locked cargo-mutants --version 27.1.0
exec cargo run --quiet -p offheap-mutants -- operators "$@"
