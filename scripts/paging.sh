#!/usr/bin/env bash
# Compares pages that may lie on disk with foyer, mmap and plain files, in turns, and prints the table of
# paging/rivals/README.md. It has to be root: foyer and mmap run in memory cgroups of their own.
# Leave the machine alone meanwhile. Files go to /tmp, or where `--dir` says: on the disk to be measured.
# `--quick` is for a look; `--only PART` takes one part; `--insert` also writes the table into the page.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"
page=paging/rivals/README.md

insert=no
arguments=()
for argument in "$@"; do
    if [ "$argument" = --insert ]; then insert=yes; else arguments+=("$argument"); fi
done

cargo build --quiet --release --manifest-path paging/rivals/Cargo.toml --target-dir "$target"
found="$target/paging-rivals.md"
rm -f "$found"
"$target/release/table" --output "$found" "${arguments[@]}"

if [ "$insert" = yes ]; then
    # Between `<!-- table -->` and `<!-- end -->` goes what was found.
    awk -v file="$found" '
        /^<!-- end -->$/ { inside = 0 }
        !inside { print }
        /^<!-- table -->$/ {
            print ""
            while ((getline line <file) > 0) print line
            print ""
            inside = 1
        }
    ' "$page" >"$found.page"
    cp "$found.page" "$page"
    rm "$found.page"
fi
