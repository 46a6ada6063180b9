#!/usr/bin/env bash
# memcheck, which is told what pages are free: scripts/valgrind.sh [--all]. First it has to report every
# one of some bugs that are planted, in the core and in a caller; then the same program without a bug, the C
# programs and, with `--all`, the replay of the fuzzer's inputs touch and lose nothing. Skips, and says so, where there
# is no valgrind or no compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in valgrind cc; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 0; }
done
. scripts/reported.sh
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/memcheck"
export RUSTFLAGS="--cfg offheap_memcheck --cfg offheap_seeded"
# Threads take turns: otherwise one of them can keep the others from going on for minutes.
memcheck=(valgrind -q --fair-sched=yes --leak-check=full --error-exitcode=99)

cargo build --quiet --release -p offheap-checked --bin walk
walk=("${memcheck[@]}" "$CARGO_TARGET_DIR/release/walk")
reported 'Invalid write of size 1' core:use-after-release "${walk[@]}"
reported 'Invalid write' core:overrun "${walk[@]}"
reported 'terminating with default action of signal 11' core:overrun "${walk[@]}" the-last-page
reported 'depends on uninitialised value' core:skipped-zeroing "${walk[@]}"
# What was lost keeps its manager, which has the address of its first page.
reported 'are definitely lost' core:leak "${walk[@]}" the-last-page
reported 'Invalid write of size 1' writes-after-release "${walk[@]}"
reported 'Invalid write of size 1' writes-past-its-page "${walk[@]}"
reported 'terminating with default action of signal 11' writes-past-the-region "${walk[@]}"
reported 'Invalid write of size 8' writes-after-reset "${walk[@]}"
reported 'depends on uninitialised value' reads-a-fresh-page "${walk[@]}"
reported '4,096 bytes in 1 blocks are definitely lost' forgets-a-page "${walk[@]}"
"${walk[@]}"
echo "clean: every way to memory and back"

prefix=$(mktemp -d)
trap 'rm -rf "$prefix" "$log"' EXIT
scripts/install.sh --no-strip "$prefix"
reported 'Invalid write of size 1' core:use-after-release scripts/c.sh "$prefix" "${memcheck[@]}"
scripts/c.sh "$prefix" "${memcheck[@]}"
[ "${1:-}" = --all ] || exit 0

replay=$(cargo test --quiet --release -p offheap-fuzz --test replay --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*replay[^"]*\)".*/\1/p' | tail -1)
# The test runner keeps a handle on its thread to the end, which looks lost.
"${memcheck[@]}" --show-leak-kinds=definite --errors-for-leak-kinds=definite \
    "$replay" --test-threads=1 the_corpus
echo "clean: the fuzzer's inputs"
