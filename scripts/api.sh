#!/usr/bin/env bash
# The public surface of the published libraries against what is written down in api/: scripts/api.sh fails with
# the differences. With --record it writes the surface down anew, which a change of the interface brings along.
# Skips, and says so, where there is no Python. The C ABI has the header and tests of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 0; }
target="${CARGO_TARGET_DIR:-target}"
# The variable below rebuilds some dependencies, so these builds have a folder of their own.
export CARGO_TARGET_DIR="$target/api"
surface="$(mktemp)"
trap 'rm -f "$surface"' EXIT
status=0
compare() {
    local package="$1"
    shift
    local json="$CARGO_TARGET_DIR/doc/${package//-/_}.json"
    # What is not there is made anew, whatever cargo believes.
    rm -f "$json"
    # JSON is for nightly compilers, and for those that are told to be one.
    RUSTC_BOOTSTRAP=1 cargo rustdoc --quiet --locked -p "$package" --lib "${@:2}" \
        -- -Z unstable-options --output-format json
    python3 scripts/api.py "$json" >"$surface"
    [ "$(wc -l <"$surface")" -ge "$1" ] || { echo "where is the surface of $package?"; exit 1; }
    if [ "$record" = --record ]; then
        mkdir -p api
        cp "$surface" "api/$package.txt"
    elif ! diff -u "api/$package.txt" "$surface"; then
        status=1
    fi
    echo "$package: $(wc -l <"$surface") lines of public surface"
}
record="${1:-}"
# The fewest lines that can be right, and the features.
compare offheap 500 --features metrics,serde,tracing,track-allocations
compare offheap-paging 100 --features metrics,serde,tracing
compare offheap-operators 20
[ $status = 0 ] || echo "the public surface changed: if that is meant, run scripts/api.sh --record, and tell it in CHANGELOG.md"
exit $status
