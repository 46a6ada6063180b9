#!/usr/bin/env bash
# Compiles the programs in tests/c/programs against an installed library alone, and runs them, each
# linked to the shared and to the static library: scripts/c.sh PREFIX [RUNNER...]. The runner, for
# example valgrind with its options, gets the program as its last argument.
set -euo pipefail
prefix="$(cd "$1" && pwd)"
shift
cd "$(dirname "$0")/../tests/c/programs"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-g -O1 -Wall -Wextra -Wpedantic -Wconversion -Wundef -Wstrict-prototypes -Werror
    -I "$prefix/include" -pthread)
export LD_LIBRARY_PATH="$prefix/lib"

try() { # name, runner...
    local name=$1
    shift
    "$@" || { echo "$name failed" >&2; exit 1; }
    echo "$name ok"
}

for source in *.c; do
    name="${source%.c}"
    for standard in c99 c11; do
        cc -std=$standard -D_POSIX_C_SOURCE=200809L "${flags[@]}" "$source" -o "$work/$name" -L "$prefix/lib" -loffheap
    done
    try "$name, shared" "$@" "$work/$name"
    cc -std=c11 -D_POSIX_C_SOURCE=200809L "${flags[@]}" "$source" -o "$work/$name" "$prefix/lib/liboffheap.a" \
        -lgcc_s -lpthread -lm -ldl
    try "$name, static" "$@" "$work/$name"
done
if command -v c++ >/dev/null; then
    c++ -std=c++11 "${flags[@]/-Wstrict-prototypes/-Wshadow}" plain.cpp -o "$work/plain" \
        -L "$prefix/lib" -loffheap
    try "plain (C++), shared" "$@" "$work/plain"
    c++ -std=c++11 -x c++ "${flags[@]/-Wstrict-prototypes/-Wshadow}" reclaim.c -o "$work/reclaim" \
        -L "$prefix/lib" -loffheap
    try "reclaim (C++), shared" "$@" "$work/reclaim"
else
    echo "skipped: there is no C++ compiler"
fi
