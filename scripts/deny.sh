#!/usr/bin/env bash
# Licences, sources and bans of all dependencies, as deny.toml has them: scripts/deny.sh [--install]. With
# `--install` it first installs `cargo-deny` where there is none, in about five minutes of one core; otherwise
# it skips there, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo deny --version >/dev/null 2>&1; then
    [ "${1:-}" = --install ] || { echo "skipped: there is no cargo-deny"; exit 0; }
    # Without its default features it needs no C compiler, and cannot fetch advisories.
    timeout 1800 cargo install --quiet --locked --no-default-features cargo-deny ||
        { echo "skipped: cargo-deny does not install here"; exit 0; }
fi
cargo deny --workspace check --hide-inclusion-graph bans licenses sources
