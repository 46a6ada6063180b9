#!/usr/bin/env bash
# Counts the instructions of the fast paths with valgrind and compares them with what
# benches/instructions.txt has. Exits 1 where a path takes over 3 % more; fewer pass. `--record`
# writes the counts down instead.
set -euo pipefail
cd "$(dirname "$0")/.."
recorded=benches/instructions.txt
tolerance_percent=3

if ! command -v valgrind >/dev/null; then
    echo "instructions were not counted: there is no valgrind here"
    exit 0
fi
compiler=$(rustc -vV | sed -n 's/^release: /rustc /p; s/^host: //p' | paste -sd' ')
program=$(cargo bench --quiet -p offheap --bench instructions --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*instructions[^"]*\)".*/\1/p' | tail -1)
count() { # a case; prints the instructions of its counted part
    env -i valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --toggle-collect='*counted_part*' "$program" "$1" 2>&1 |
        sed -n 's/.*Collected *: *\([0-9]*\).*/\1/p'
}
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
"$program" --list | while read -r case operations; do
    instructions=$(count "$case")
    if [ "${instructions:-0}" -lt "$operations" ]; then
        echo "nothing was counted for $case: is \`counted_part\` still a function of its own?" >&2
        exit 1
    fi
    awk -v case="$case" -v all="$instructions" -v n="$operations" \
        'BEGIN { printf "%s %.1f\n", case, all / n }' >>"$counts"
done

if [ "${1:-}" = --record ]; then
    {
        echo "# Instructions an operation, written by scripts/instructions.sh --record"
        echo "# $compiler"
        cat "$counts"
    } >"$recorded"
    cat "$recorded"
    exit 0
fi
if ! grep -qxF "# $compiler" "$recorded"; then
    echo "the counts were recorded with another compiler, so this run cannot fail:" \
        "$(sed -n 2p "$recorded")"
    tolerance_percent=1000000
fi
awk -v tolerance="$tolerance_percent" '
    BEGIN { printf "%-34s %10s %10s %8s\n", "instructions an operation", "recorded", "now", "change" }
    /^#/ { next }
    FNR == NR { old[$1] = $2; next }
    !($1 in old) { printf "%-34s %10s %10.1f   record it\n", $1, "", $2; failed = 1; next }
    {
        change = 100 * ($2 / old[$1] - 1)
        verdict = change > tolerance ? "  more" : change < -tolerance ? "  fewer: record it" : ""
        printf "%-34s %10.1f %10.1f %+7.1f%%%s\n", $1, old[$1], $2, change, verdict
        if (change > tolerance) failed = 1
    }
    END { exit failed }
' "$recorded" "$counts"
