#!/usr/bin/env bash
# Takes every figure anew and writes it where it belongs: the tables in benches/README.md and
# benches/SCALING.md, and the pictures in benches/figures. Leave the machine alone meanwhile.
# `--quick` is for a look; `--insert` measures nothing and writes what the last run found.
set -euo pipefail
cd "$(dirname "$0")/.."
found="${CARGO_TARGET_DIR:-$PWD/target}/rivals"

case "${1:-}" in
--insert) ;;
"" | --quick)
    rm -rf "$found"
    cargo bench --quiet -p rivals -- "$@"
    cargo bench --quiet -p offheap --bench flat -- --tables "$found"
    scripts/touches.sh
    scripts/instructions.sh --record
    ;;
*)
    echo "usage: scripts/figures.sh [--quick | --insert]" >&2
    exit 2
    ;;
esac

{
    printf 'Instructions an operation, counted by valgrind\n\n| path | instructions |\n|---|---:|\n'
    sed -n 's/^\([^# ]*\) \(.*\)$/| `\1` | \2 |/p' benches/instructions.txt
} >"$found/instructions.md"

# Between `<!-- table: NAME -->` and `<!-- end -->` goes NAME.md, if there is one.
for page in benches/README.md benches/SCALING.md; do
    awk -v found="$found" '
        /^<!-- end -->$/ { inside = 0 }
        !inside { print }
        /^<!-- table: [a-z-]+ -->$/ {
            file = found "/" $3 ".md"
            text = ""
            while ((getline line <file) > 0) text = text line "\n"
            if (text != "") { printf "\n%s\n", text; inside = 1 }
        }
    ' "$page" >"$found/page"
    cp "$found/page" "$page"
done
rm "$found/page"
mkdir -p benches/figures
cp "$found"/*.svg benches/figures/
git --no-pager diff --stat -- benches
