#!/usr/bin/env bash
# Address sanitizer, which is told what pages are free: scripts/asan.sh [--quick]. First it has to report
# every one of some bugs that are planted, in the core and in a caller; then the same program without a bug,
# and, unless `--quick`, the tests of the core and the replay of what the fuzzer found, are clean.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/reported.sh
host=$(rustc -vV | sed -n 's/^host: //p')
compgen -G "$(rustc --print sysroot)/lib/rustlib/$host/lib/*_rt.asan.a" >/dev/null ||
    { echo "skipped: the compiler has no address sanitizer for $host"; exit 0; }
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/asan"
# The flag is an unstable one. With a target that is named, build scripts and macros do without it.
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address --cfg offheap_asan --cfg offheap_seeded"

cargo build --quiet --target "$host" -p offheap-checked --bin walk
walk="$CARGO_TARGET_DIR/$host/debug/walk"
reported use-after-poison core:use-after-release "$walk"
reported use-after-poison core:overrun "$walk"
reported 'SEGV on unknown address' core:overrun "$walk" the-last-page
reported 'detected memory leaks' core:leak "$walk" the-last-page
reported use-after-poison writes-after-release "$walk"
reported use-after-poison writes-past-its-page "$walk"
reported 'SEGV on unknown address' writes-past-the-region "$walk"
reported use-after-poison writes-after-reset "$walk"
reported 'detected memory leaks' forgets-a-page "$walk"
"$walk"
echo "clean: every way to memory and back"
[ "${1:-}" != --quick ] || exit 0

tests() { cargo test --quiet --target "$host" "$@"; }
# Left out are tests of what address sanitizer changes: it takes 16 TiB of address space, and locks no memory.
not_here=(--skip residency::where_address_space_is_short_the_default_is_lowered_and_a_wish_is_refused
    --skip residency::where_the_system_takes_nothing_back_the_block_is_refused_and_nothing_is_lost
    --skip trimming::what_the_system_does_not_take_stays_and_the_rest_goes)
# These lose a worker or a future on purpose, so they run by themselves, without the search for leaks.
forgetful=(waiting::a_forgotten_future_gets_nothing_once_its_owner_is_gone
    waiting::whatever_is_given_back_serves_the_line
    workers::pages_of_an_idle_or_a_dead_worker_go_to_whoever_would_be_refused)
tests -p offheap --lib
# shellcheck disable=SC2046
tests -p offheap --test all -- "${not_here[@]}" $(printf -- '--skip %s ' "${forgetful[@]}")
ASAN_OPTIONS=detect_leaks=0 tests -p offheap --test all -- --exact "${forgetful[@]}"
tests -p offheap-fuzz
echo "clean: the tests of the core, and the replay of the fuzzer's inputs"
