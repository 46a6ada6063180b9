#!/usr/bin/env bash
# Weakens every memory ordering of floor 1 in turn, or of the files that are named, and runs the
# models. Prints what went unnoticed; exits 1 if that is more than what `scripts/orderings.allowed`
# lists with its argument.
set -euo pipefail
cd "$(dirname "$0")/.."
allowed="$PWD/scripts/orderings.allowed"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -co --exclude-standard | tar -cf - -T - | tar -xf - -C "$copy"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/orderings"
cd "$copy"
scripts/loom.sh >/dev/null || { echo "the models are red before anything is broken"; exit 1; }

weaker() { # an ordering
    case $1 in AcqRel) echo Acquire Release ;; *) echo Relaxed ;; esac
}
missed=0 caught=0
[ $# -gt 0 ] || set -- src/{free_list,stock,budget,handles} src/{ask,magazine,depot,page_stack,page_set,residency}.rs
for file in $(grep -rl 'Ordering::' "$@" | sort); do
    cp "$file" "$copy/original"
    tests_from=$(grep -n '^mod tests' "$file" | cut -d: -f1 || true)
    while IFS=: read -r line code; do
        [ -n "$tests_from" ] && [ "$line" -gt "$tests_from" ] && continue
        [[ $code =~ ^\ *// ]] && continue
        strong=$(grep -oE 'Ordering::(AcqRel|Acquire|Release)' <<<"$code" | head -1 | cut -d: -f3)
        for weak in $(weaker "$strong"); do
            sed "${line}s/Ordering::$strong/Ordering::$weak/" "$copy/original" >"$file"
            context=$(sed -n "1,${line}p" "$file" | grep -oE 'fn [a-z_]+' | tail -1 | cut -c4-)
            name="$file $context $strong->$weak"
            if timeout 300 scripts/loom.sh >/dev/null 2>&1; then
                if grep -qF "$name" "$allowed"; then
                    echo "equivalent $name"
                else
                    echo "UNNOTICED  $name (line $line)"
                    missed=$((missed + 1))
                fi
            else
                echo "red        $name"
                caught=$((caught + 1))
            fi
        done
    done < <(grep -nE 'Ordering::(AcqRel|Acquire|Release)' "$file")
    cp "$copy/original" "$file"
done
echo "$caught caught, $missed unnoticed"
[ "$missed" -eq 0 ]
