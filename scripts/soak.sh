#!/usr/bin/env bash
# Everything at once on eight threads for so many seconds, ten minutes by default: pages, blocks,
# workers, owners and children that come and go, reservations, scratch, waits that are cancelled,
# reclaimers, trims, pressure, shared resources, under both strategies and on the heap, with a
# pattern in every segment. Prints what was granted and refused, and what is held early and late;
# fails if a page is lost, a byte is written by somebody else, the manager disagrees with itself, or
# the process grows.
set -euo pipefail
cd "$(dirname "$0")/.."
OFFHEAP_SOAK_SECONDS="${1:-600}" cargo test --quiet --release -p offheap --test soak -- --nocapture
