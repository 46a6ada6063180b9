#!/usr/bin/env bash
# Compiles the programs in tests/c/programs and the examples in C and C++ against an installed
# library alone, with what pkg-config says, and runs them, linked to the shared and to the static
# library: scripts/c.sh PREFIX [RUNNER...]. The runner, for example valgrind with its options, gets
# the program as its last argument. LIBDIR is that of the installation. With CMake, a project of two
# programs is configured and built as well.
set -euo pipefail
prefix="$(cd "$1" && pwd)"
shift
lib="$prefix/${LIBDIR:-lib}"
runner=("$@")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings=(-g -O1 -Wall -Wextra -Wpedantic -Wconversion -Wundef -Werror -pthread)
c=("${warnings[@]}" -Wstrict-prototypes -D_POSIX_C_SOURCE=200809L)
cpp=("${warnings[@]}" -Wshadow)
export LD_LIBRARY_PATH="$lib"
unset PKG_CONFIG_LIBDIR
export PKG_CONFIG_PATH="$lib/pkgconfig"

if command -v pkg-config >/dev/null; then
    read -ra cflags < <(pkg-config --cflags offheap)
    read -ra shared < <(pkg-config --libs offheap)
    read -ra static < <(pkg-config --static --libs offheap)
else
    echo "skipped: there is no pkg-config to ask for flags" >&2
    cflags=(-I "$prefix/include")
    shared=(-L "$lib" -loffheap)
    static=("$lib/liboffheap.a" -lpthread -lm -ldl)
fi

fail() { echo "c.sh: $1" >&2; exit 1; }

# The examples run by themselves: what the library knows about a main thread stays to the end, which
# memcheck would call lost.
try() { # name, program
    local with=("${runner[@]}")
    case $1 in spill.c* | cache.cpp* | CMake*) with=() ;; esac
    "${with[@]}" "$2" >"$work/said" || { cat "$work/said" >&2; fail "$1 failed"; }
    echo "$1 ok"
}

needs() { readelf -d "$1" 2>/dev/null | grep -q 'NEEDED.*liboffheap'; }

# Links an object to the shared and to the static library, and runs both.
link() { # name, compiler, object
    "$2" -pthread "$3" "${shared[@]}" -o "$work/shared"
    "$2" -pthread "$3" "${static[@]}" -o "$work/static"
    if command -v readelf >/dev/null; then
        needs "$work/shared" || fail "$1 does not use the shared library"
        ! needs "$work/static" || fail "$1 uses the shared library, though linked with --static"
    fi
    try "$1, shared" "$work/shared"
    try "$1, static" "$work/static"
}

for source in tests/c/programs/*.c examples/c/*.c; do
    cc -std=c99 "${c[@]}" "${cflags[@]}" -c "$source" -o "$work/object"
    cc -std=c11 "${c[@]}" "${cflags[@]}" -c "$source" -o "$work/object"
    link "$(basename "$source")" cc "$work/object"
done

# The code in the documentation compiles: all of a language, as one file.
blocks() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" docs/c-and-cpp.md | sed '/^```/d'; }
blocks c | cc -std=c99 "${c[@]}" "${cflags[@]}" -x c -c - -o "$work/object"
[ "$(blocks c | wc -l)" -gt 50 ] || fail "there is no code in docs/c-and-cpp.md"
echo "the page about C ok"

# A status that may not be dropped does not compile if it is; one that may does.
dropped() { # language, standard, statement
    cc -x "$1" "-std=$2" -Werror=unused-result "${cflags[@]}" -c - -o "$work/object" \
        2>"$work/said" <<SOURCE
#include <offheap.h>
void f(offheap_owner *owner, offheap_segment *page) { $3 (void)owner; (void)page; }
SOURCE
}
for language in "c c99" "c++ c++11" "c++ c++17"; do
    # shellcheck disable=SC2086
    dropped $language 'offheap_release(page);' ||
        { cat "$work/said" >&2; fail "$language: the status of a release cannot be dropped"; }
    # shellcheck disable=SC2086
    ! dropped $language 'offheap_allocate_page(owner, &page);' ||
        fail "$language: the status of an allocation can be dropped"
    grep -q 'unused-result\|nodiscard' "$work/said" || { cat "$work/said" >&2; fail "$language"; }
    [ "$language" != "c c99" ] || command -v c++ >/dev/null || break
done
echo "dropped statuses ok"

if ! command -v c++ >/dev/null; then
    echo "skipped: there is no C++ compiler"
    exit
fi
c++ -std=c++11 "${cpp[@]}" "${cflags[@]}" -c tests/c/programs/plain.cpp -o "$work/object"
link "plain.cpp" c++ "$work/object"
c++ -std=c++11 -x c++ "${cpp[@]}" "${cflags[@]}" -c tests/c/programs/reclaim.c -o "$work/object"
link "reclaim.c as C++" c++ "$work/object"
for source in tests/c/programs/wrapper/*.cpp examples/cpp/*.cpp; do
    name=$(basename "$source")
    c++ -std=c++17 "${cpp[@]}" "${cflags[@]}" "$source" "${shared[@]}" -o "$work/program"
    try "$name, C++17, shared" "$work/program"
    c++ -std=c++20 "${cpp[@]}" "${cflags[@]}" "$source" "${static[@]}" -o "$work/program"
    try "$name, C++20, static" "$work/program"
done

# Where threads share a resource, nothing of it is touched without its lock.
if [ ${#runner[@]} -eq 0 ] && echo 'int main() {}' |
    c++ -fsanitize=thread -x c++ - -o "$work/program" 2>/dev/null && "$work/program" 2>/dev/null; then
    c++ -std=c++17 "${cpp[@]}" "${cflags[@]}" -fsanitize=thread \
        tests/c/programs/wrapper/containers.cpp "${shared[@]}" -o "$work/program"
    try "containers.cpp, C++17, thread sanitizer" "$work/program"
fi

blocks cpp | c++ -std=c++17 "${cpp[@]}" "${cflags[@]}" -x c++ -c - -o "$work/object"
[ "$(blocks cpp | wc -l)" -gt 50 ] || fail "there is no C++ in docs/c-and-cpp.md"
echo "the page about C++ ok"

if ! command -v cmake >/dev/null; then
    echo "skipped: there is no CMake"
    exit
fi
mkdir "$work/project"
cat >"$work/project/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.10)
project(program C CXX)
find_package(Threads REQUIRED)
find_package(offheap 0.1 REQUIRED)
add_executable(from_c "$PWD/examples/c/spill.c")
target_link_libraries(from_c offheap::offheap)
add_executable(from_cpp "$PWD/examples/cpp/cache.cpp")
target_link_libraries(from_cpp offheap::static Threads::Threads)
set_target_properties(from_cpp PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
CMAKE
cmake -S "$work/project" -B "$work/built" -Doffheap_DIR="$lib/cmake/offheap" >"$work/said" &&
    cmake --build "$work/built" >>"$work/said" || { cat "$work/said" >&2; fail "CMake failed"; }
try "CMake, C, shared" "$work/built/from_c"
try "CMake, C++, static" "$work/built/from_cpp"
