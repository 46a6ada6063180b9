#!/usr/bin/env bash
# What the backend costs and saves, inside a JVM and through Flink's own memory manager, beside the
# process allocators that it stands in for. Medians of several rounds, all variants in each round.
# Writes the table into README.md; takes about fifteen minutes on an otherwise idle machine.
#
#   integrations/flink/bench.sh [--quick] [VERSION]      --quick: pages only, one round, no writing
#
# OFFHEAP_BENCH_ROUNDS is the number of rounds, 5 by default.
set -euo pipefail
# shellcheck source=integrations/flink/common.sh
. "$(dirname "$0")/common.sh"

quick=false
if [ "${1:-}" = --quick ]; then quick=true && shift; fi
version="${1:-2.3.0}"
rounds="${OFFHEAP_BENCH_ROUNDS:-5}"
$quick && rounds=1
need_java
need_flink "$version"
build_agent
build_java "$work/bench" "$here"/bench/*.java "$here"/tests/{Check,Cluster,Jobs}.java

# jemalloc, if it is installed or can be had: `OFFHEAP_JEMALLOC` names a library.
jemalloc="${OFFHEAP_JEMALLOC:-$(ldconfig -p | sed -n 's/.*libjemalloc\.so\.2.*=> //p' | head -n 1)}"
if [ -z "$jemalloc" ] && command -v apt-get >/dev/null; then
    folder="$cache/jemalloc"
    if [ ! -d "$folder" ]; then
        fetched=$(mktemp -d "$cache/fetch.XXXXXX")
        if (cd "$fetched" && apt-get download --quiet libjemalloc2 >/dev/null 2>&1); then
            dpkg-deb --extract "$fetched"/*.deb "$folder"
        fi
        rm -rf "$fetched"
    fi
    jemalloc=$(find "$folder" -name 'libjemalloc.so.2' 2>/dev/null | head -n 1)
fi
variants=(glibc "glibc, trimming off")
[ -z "$jemalloc" ] || variants+=(jemalloc)
variants+=(offheap)
[ -n "$jemalloc" ] || say "without jemalloc: neither installed nor to be had"

results="$work/bench.tsv"
: >"$results"
# Appends what a program prints, as VARIANT, CASE, NUMBER.
measure() { # VARIANT JAVA_ARGUMENT...
    local variant=$1
    shift
    local environment=() options=()
    case $variant in
        "glibc, trimming off") environment=(MALLOC_TRIM_THRESHOLD_=17179869184) ;;
        jemalloc) environment=(LD_PRELOAD="$jemalloc") ;;
        offheap*) options=(-javaagent:"$agent" -Doffheap.bytes=128m) ;;
    esac
    [ "$variant" != "offheap, small pages" ] || options+=(-Doffheap.huge-pages=never)
    env "${environment[@]}" java -Xms512m -Xmx512m -XX:+UseSerialGC "${options[@]}" \
        -cp "$work/bench:$class_path" "$@" 2>"$work/bench.err" \
        | sed -n "s/^\([^\t]\+\)\t\([0-9.]\+\)$/$variant\t\1\t\2/p" | tee -a "$results" \
        || { tail -n 20 "$work/bench.err" >&2; die "$variant: $*"; }
}

for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    for variant in "${variants[@]}"; do measure "$variant" PageBench 1000000; done
    $quick && continue
    for variant in glibc "offheap, small pages" offheap; do measure "$variant" AccessBench 4096; done
    for variant in "${variants[@]}"; do measure "$variant" JobBench 500000; done
done

python3 - "$results" "$here/README.md" "$quick" "$version" "$rounds" <<'PYTHON'
import statistics, sys
results, readme, quick, version, rounds = *sys.argv[1:3], sys.argv[3] == "true", *sys.argv[4:6]
numbers, cases, variants = {}, [], []
for line in open(results):
    variant, case, number = line.rstrip("\n").split("\t")
    numbers.setdefault((case, variant), []).append(float(number))
    if case not in cases: cases.append(case)
    if variant not in variants: variants.append(variant)
variants.sort(key=["glibc", "glibc, trimming off", "jemalloc", "offheap, small pages", "offheap"].index)
median = {key: statistics.median(values) for key, values in numbers.items()}
show = lambda value: f"{value:.0f}" if value >= 100 else f"{value:.1f}"
def cell(case, variant):
    if (case, variant) not in median: return ""
    text, ours = show(median[case, variant]), median[case, "offheap"]
    if variant == "offheap" or not ours: return text
    ratio = median[case, variant] / ours
    return f"{text} ({ratio:.0f}x)" if ratio >= 10 else f"{text} ({ratio:.2f}x)"
table = ["| | " + " | ".join(variants) + " |", "|---" * (len(variants) + 1) + "|"]
table += [f"| {case} | " + " | ".join(cell(case, variant) for variant in variants) + " |" for case in cases]
text = f"Flink {version}, rounds: {rounds}.\n\n" + "\n".join(table)
print(text)
if not quick:
    page = open(readme).read()
    start, end = "<!-- bench -->", "<!-- /bench -->"
    head, tail = page.split(start)[0], page.split(end)[1]
    open(readme, "w").write(f"{head}{start}\n{text}\n{end}{tail}")
def at_least(case, rival, factor):
    if (case, rival) in median:
        ratio = median[case, rival] / median[case, "offheap"]
        word = "met" if ratio >= factor else "MISSED"
        print(f"{word}: {case}: {rival} takes {ratio:.2f} times as much CPU as offheap; target {factor}")
at_least("n=1000", "glibc", 15)
at_least("n=1000", "jemalloc", 3)
at_least("n=1000, first touch", "glibc", 70)
at_least("n=1000, first touch", "glibc, trimming off", 1)
PYTHON
