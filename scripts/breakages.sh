#!/usr/bin/env bash
# Breaks the code on purpose, in every way that `scripts/breakages/*.breakages` lists, one at a time,
# and runs the models and tests that are said to turn red. Arguments select breakages by a part of
# their name or of their list's. Before them, `--list` only names them, `--applies` only looks whether
# what they change is there, `--named` runs nothing but what they are said to turn red, and `--each`
# expects all of that to be red, and not only the first.
#
# An entry of a list is a name, a sentence that says what is broken, where it turns red first, and
# the change, as in a diff without numbers: what the lines said before must be there exactly once.
#
#     ## name
#     What is broken.
#     red loom claims
#     in src/ledger/free_list/claims.rs
#     -    before
#     +    after
#
# A place to turn red is `loom T`, a file of models and perhaps the start of a model's name; `rmw T`,
# the same in the second mode; `shuttle NAME`, a model of many steps; `unit PATH`, `all PATH` and
# `fuzz PATH`, tests of the library, of `tests/all` and of the sequences of calls. Where all of these stay green, all models in
# both modes and all tests are run. Exits 1 if a breakage goes unnoticed for which
# `scripts/breakages.allowed` has no reason, no longer applies, or does not compile.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
lists=(scripts/breakages/*.breakages)
allowed=scripts/breakages.allowed
target="${CARGO_TARGET_DIR:-$PWD/target}/breakages"
# Generous: the longest of the tests takes a tenth of it.
seconds_max=${OFFHEAP_BREAKAGES_SECONDS:-400}
everything=("loom" "rmw" "shuttle" "unit" "all" "fuzz")

names=() reds=() edits=()
declare -A seen
fail() { echo "$*" >&2; exit 1; }

# Reads a list: `edits` has, of each breakage, the numbers of its files and of the texts before and
# after, which are in `files`, `befores` and `afters`.
files=() befores=() afters=()
read_list() {
    local line last=-1
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        "## "*)
            line=${line#\#\# }
            [ -z "${seen[$line]:-}" ] || fail "$1: there are two breakages called $line"
            seen[$line]=1
            names+=("$line") reds+=("") edits+=("")
            last=$((${#names[@]} - 1))
            lists_of+=("$(basename "$1" .breakages)")
            ;;
        "red "*) reds[last]+="${line#red }"$'\n' ;;
        "in "*)
            files+=("${line#in }") befores+=("") afters+=("")
            edits[last]+=" $((${#files[@]} - 1))"
            ;;
        "-"*) befores[-1]+=${line#-}$'\n' ;;
        "+"*) afters[-1]+=${line#+}$'\n' ;;
        " "*) befores[-1]+=${line# }$'\n' afters[-1]+=${line# }$'\n' ;;
        esac
    done <"$1"
}
lists_of=()
for list in "${lists[@]}"; do read_list "$list"; done

is_selected() { # the number of a breakage, selecting words
    local number=$1 word
    shift
    [ $# -eq 0 ] && return 0
    for word in "$@"; do
        [[ "${lists_of[number]}/${names[number]}" == *"$word"* ]] && return 0
    done
    return 1
}
mode=
case ${1:-} in --list | --applies | --named | --each) mode=$1 && shift ;; esac
[[ $mode != --named && $mode != --each ]] || everything=("")
if [ "$mode" = --list ]; then
    for number in "${!names[@]}"; do
        if is_selected "$number" "$@"; then echo "${lists_of[number]}/${names[number]}"; fi
    done
    exit 0
fi

# A copy of the tree at a place that stays the same, so that only what is broken is built again.
[ "$mode" != --applies ] || target=$target/applies
tree=$target/tree
mkdir -p "$target"
exec 9>"$target/lock"
flock -n 9 || fail "breakages are at work in $target already"
rm -rf "$tree"
mkdir "$tree"
git ls-files -co --exclude-standard | tar -cf - -T - | tar -xmf - -C "$tree"
log=$target/log
allowed=$PWD/$allowed
cd "$tree"

replace() { # file, before, after
    local text before=$'\n'$2 after=$'\n'$3 without
    text=$'\n'$(cat "$1" && printf .)
    text=${text%.}
    without=${text//"$before"/}
    [ $((${#text} - ${#without})) -eq ${#before} ] || return 1
    text=${text/"$before"/"$after"}
    printf '%s' "${text#?}" >"$1"
}

cargo_test() { # words of an oracle, and then more arguments to cargo
    local kind=$1 path=${2:-} name=${3:-}
    local environment=(CARGO_TARGET_DIR="$target") arguments=(--quiet)
    # What is broken is built again each time, and most models take no time to run.
    environment+=(CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_INCREMENTAL=true)
    environment+=(CARGO_PROFILE_RELEASE_OPT_LEVEL=1)
    case $kind in
    loom) environment+=(RUSTFLAGS="--cfg offheap_loom -C debug-assertions") ;;
    rmw) environment+=(RUSTFLAGS="--cfg offheap_loom --cfg offheap_loom_rmw -C debug-assertions") ;;
    shuttle) environment+=(RUSTFLAGS="--cfg offheap_loom --cfg offheap_shuttle -C debug-assertions") ;;
    esac
    case $kind in
    loom | rmw)
        local preemptions=3
        [ -n "$path" ] && preemptions=2
        [ "$kind" = rmw ] && preemptions=$((preemptions + 1))
        environment+=(LOOM_MAX_PREEMPTIONS="$preemptions")
        arguments+=(--release --config profile.release.package.loom.opt-level=3)
        arguments+=(-p offheap-loom-tests)
        ;;
    shuttle) arguments+=(--release -p offheap-loom-tests --test schedules) ;;
    unit) arguments+=(-p offheap --lib --features c-abi) ;;
    all) arguments+=(-p offheap --test all --features c-abi) ;;
    fuzz) arguments+=(-p offheap-fuzz) ;;
    *) fail "nothing is called $kind" ;;
    esac
    case $kind in
    loom | rmw)
        if [ -n "$path" ]; then arguments+=(--test "$path"); else arguments+=(--tests); fi
        ;;
    *) name=$path ;;
    esac
    env "${environment[@]}" cargo test "${arguments[@]}" --no-run >"$log" 2>&1 || return 3
    timeout --kill-after=10 "$seconds_max" env "${environment[@]}" \
        cargo test "${arguments[@]}" --no-fail-fast -- "$name" >"$log" 2>&1
}

# Runs an oracle: `green`, or in `verdict` how it is red.
verdict=
is_green() { # the words of an oracle
    local status=0
    # shellcheck disable=SC2068
    cargo_test $@ || status=$?
    [ "$status" -eq 0 ] && grep -qE '^running [1-9]' "$log" && return 0
    case $status in
    0) fail "no test is called $*" ;;
    3) verdict="does not compile" ;;
    124 | 137) verdict="red, no end in $seconds_max s" ;;
    *)
        verdict=$(sed -n 's/^    \([a-z_0-9:]*[a-z]\)$/\1/p' "$log" | sort -u | head -3 | paste -sd ' ')
        # One that ends the process has no list of what failed.
        [ -n "$verdict" ] || verdict=$(grep -m1 -oE 'signal: .*|process abort.*|panicked at .*' "$log" || true)
        verdict="red, $verdict"
        ;;
    esac
    verdict+=" ($*)"
    return 1
}

look_everywhere() { # oracles
    local oracle reds=
    for oracle in "$@"; do
        if [ -z "$oracle" ] || is_green "$oracle"; then
            [ "$mode" != --each ] || [ -z "$oracle" ] || return 0
        else
            [ "$mode" = --each ] || return 1
            reds+="${reds:+; }$verdict"
        fi
    done
    verdict=$reds && [ -z "$reds" ]
}

declare -A green
red=0 missed=0 equivalent=0 wrong=0 applying=0
for number in "${!names[@]}"; do
    is_selected "$number" "$@" || continue
    name=${names[number]}
    mapfile -t oracles <<<"${reds[number]%$'\n'}"
    # Green before anything is broken, or red says nothing.
    for oracle in "${oracles[@]}"; do
        if [ "$mode" != --applies ] && [ -n "$oracle" ] && [ -z "${green[$oracle]:-}" ]; then
            is_green "$oracle" || fail "before anything is broken: $verdict"
            green[$oracle]=1
        fi
    done
    applies=yes touched=()
    for edit in ${edits[number]}; do
        file=${files[edit]}
        [[ " ${touched[*]:-} " == *" $file "* ]] || { cp "$file" "$target/${file//\//-}"; touched+=("$file"); }
        replace "$file" "${befores[edit]}" "${afters[edit]}" || applies=no
    done
    started=$SECONDS
    if [ $applies = no ]; then
        echo "DOES NOT APPLY   $name: what it changes is not there exactly once"
        wrong=$((wrong + 1))
    elif [ "$mode" = --applies ]; then
        applying=$((applying + 1))
    elif look_everywhere "${oracles[@]}" && look_everywhere "${everything[@]}"; then
        if grep -q "^$name: " "$allowed"; then
            echo "equivalent       $name"
            equivalent=$((equivalent + 1))
        else
            echo "UNNOTICED        $name"
            missed=$((missed + 1))
        fi
    elif [[ $verdict == "does not compile"* ]]; then
        echo "DOES NOT COMPILE $name: $verdict"
        grep -m1 -A5 '^error' "$log" || true
        wrong=$((wrong + 1))
    else
        echo "${verdict%%,*}              $name: ${verdict#*, } $((SECONDS - started)) s"
        red=$((red + 1))
    fi
    for file in "${touched[@]}"; do cat "$target/${file//\//-}" >"$file"; done
done
[ "$mode" != --applies ] || { echo "$applying apply, $wrong do not"; exit $((wrong > 0)); }
echo "$red red, $missed unnoticed, $equivalent equivalent, $wrong that do not apply or compile"
[ $((missed + wrong)) -eq 0 ]
