#!/usr/bin/env bash
# Runs the C programs under valgrind: a library and programs that touch what is not theirs, or lose
# memory, fail. Skips, and says so, where there is no valgrind or no compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in valgrind cc; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 0; }
done
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
scripts/install.sh "$prefix"
# Threads take turns: otherwise one of them can keep the others from going on for minutes.
scripts/c.sh "$prefix" valgrind -q --fair-sched=yes --leak-check=full --error-exitcode=99
