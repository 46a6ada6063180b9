#!/usr/bin/env bash
# Four owners on eight threads, each of which would have the whole budget, for so many seconds, a
# minute by default: once with good manners, once with cancelled waits, reclaimers that panic, lie
# and do nothing, and owners that go midway. Prints who got how much; fails if a page is lost, a
# minimum is broken, somebody waits for ever, or the shares are not fair.
set -euo pipefail
cd "$(dirname "$0")/.."
OFFHEAP_CONTENTION_SECONDS="${1:-60}" cargo test --quiet --release -p offheap --test contention -- \
    --nocapture --test-threads 1 2>/dev/null | grep -a 'manners\|test result'
