#!/usr/bin/env bash
# Thread sanitizer: it has to report a page that is passed on without ordering, which is planted in the core;
# then the same program without a bug is clean. Without a suppression of any kind.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/reported.sh
host=$(rustc -vV | sed -n 's/^host: //p')
compgen -G "$(rustc --print sysroot)/lib/rustlib/$host/lib/*_rt.tsan.a" >/dev/null ||
    { echo "skipped: the compiler has no thread sanitizer for $host"; exit 0; }
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/tsan"
# The flags are unstable ones; the second one has the standard library linked, which was compiled without.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg offheap_seeded"

cargo build --quiet --target "$host" -p offheap-checked --bin relay
relay="$CARGO_TARGET_DIR/$host/debug/relay"
reported 'data race .*use_memory' core:unordered "$relay"
"$relay"
echo "clean: pages and blocks from hand to hand"
