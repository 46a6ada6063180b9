#!/usr/bin/env bash
# Builds and installs the C library and the headers for C and C++; --help says where.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/install.sh [--no-strip] PREFIX
       scripts/install.sh --uninstall PREFIX

Builds the C library and installs it below PREFIX, or removes what was installed there:

  INCLUDEDIR/offheap.h, offheap.hpp
  LIBDIR/liboffheap.so.VERSION, with the links liboffheap.so.ABI and liboffheap.so
  LIBDIR/liboffheap.a
  LIBDIR/pkgconfig/offheap.pc, offheap-shared.pc
  LIBDIR/cmake/offheap/offheap-config.cmake, offheap-config-version.cmake

  --no-strip    keeps what debuggers and profilers read in the libraries
  --uninstall   removes what an installation with the same settings put there

From the environment:

  LIBDIR        where libraries go: `lib` by default, `lib64` or `lib/x86_64-linux-gnu` elsewhere
  INCLUDEDIR    where headers go: `include` by default
  DESTDIR       put before PREFIX when files are written, for packagers
  STRIP         the program that strips: `strip` by default

LIBDIR and INCLUDEDIR are relative to PREFIX, or absolute and below it, so that the tree can be
moved. After an installation to a place where the system looks for libraries, run ldconfig.
USAGE
}

refuse() { echo "install.sh: $1; see scripts/install.sh --help" >&2; exit 2; }

uninstall=false
strip=true
prefix=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage; exit ;;
    --uninstall) uninstall=true ;;
    --no-strip) strip=false ;;
    -*) refuse "there is no option $1" ;;
    '') refuse "PREFIX is empty" ;;
    *)
        [ -z "$prefix" ] || refuse "there is one PREFIX, not also $1"
        prefix=$1
        ;;
    esac
    shift
done
[ -n "$prefix" ] || refuse "PREFIX is missing"
case $prefix in /*) ;; *) prefix="$PWD/$prefix" ;; esac
prefix=${prefix%/}

below_prefix() { # name, folder: relative to the prefix
    local folder=${2%/}
    case $folder in
    "$prefix"/*) folder=${folder#"$prefix"/} ;;
    /*) refuse "$1=$folder is not below $prefix" ;;
    esac
    case /$folder/ in *//* | */../* | */./*) refuse "$1=$2 is no plain folder below $prefix" ;; esac
    echo "$folder"
}
libdir=$(below_prefix LIBDIR "${LIBDIR:-lib}")
includedir=$(below_prefix INCLUDEDIR "${INCLUDEDIR:-include}")
lib="${DESTDIR:-}$prefix/$libdir"
include="${DESTDIR:-}$prefix/$includedir"

cd "$(dirname "$0")/.."
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)"
abi="$(sed -n 's/^#define OFFHEAP_ABI_VERSION \(.*\)/\1/p' include/offheap.h)"

if $uninstall; then
    # The links say which version that was.
    installed=$(readlink "$lib/liboffheap.so.$abi" || true)
    rm -f "$include"/offheap.{h,hpp} "$lib/${installed:-liboffheap.so.$version}" \
        "$lib"/liboffheap.{a,so,"so.$abi","so.$version"} "$lib"/pkgconfig/offheap{,-shared}.pc \
        "$lib"/cmake/offheap/offheap-config{,-version}.cmake
    [ ! -d "$lib/cmake/offheap" ] || rmdir --ignore-fail-on-non-empty "$lib/cmake/offheap"
    exit
fi

# A library with threads and destructors of threads stays loaded, whatever closes it.
cargo rustc --quiet --release -p offheap --features c-abi --lib --crate-type cdylib,staticlib \
    -- -C link-arg=-Wl,-soname,"liboffheap.so.$abi" -C link-arg=-Wl,-z,nodelete
built="${CARGO_TARGET_DIR:-target}/release"

install -d "$include" "$lib/pkgconfig" "$lib/cmake/offheap"
install -m 644 include/offheap.h include/offheap.hpp "$include"
install -m 755 "$built/liboffheap.so" "$lib/liboffheap.so.$version"
ln -sf "liboffheap.so.$version" "$lib/liboffheap.so.$abi"
ln -sf "liboffheap.so.$abi" "$lib/liboffheap.so"
install -m 644 "$built/liboffheap.a" "$lib/liboffheap.a"
if $strip; then
    "${STRIP:-strip}" --strip-unneeded "$lib/liboffheap.so.$version"
    # A linker needs the symbols of an archive, and not what debuggers read.
    "${STRIP:-strip}" --strip-debug "$lib/liboffheap.a"
fi

# All of it finds the rest from where it lies, so that the tree can be moved: as many steps up as
# the folder is deep.
up=$(sed 's|[^/][^/]*|..|g' <<<"$libdir")
# What the standard library of Rust needs of the system. Compilers add what unwinds, shared or
# static.
system='pthread m dl'
flags=$(printf -- ' -l%s' $system)
pc() { # name, description, lines...
    printf '%s\n' "prefix=\${pcfiledir}/$up/.." "includedir=\${prefix}/$includedir" \
        "libdir=\${prefix}/$libdir" "" "Name: $1" "Description: $2" "Version: $version" "${@:3}"
}
# With --static the archive comes first and has all that is asked for, so that nothing is left for
# the shared library, which is linked as needed. Without, the private line is not there.
pc offheap "Managed memory for data engines" "Cflags: -I\${includedir}" "Requires: offheap-shared" \
    "Libs.private: \${libdir}/liboffheap.a$flags" >"$lib/pkgconfig/offheap.pc"
pc offheap-shared "The shared library of offheap, for offheap.pc" \
    "Libs: -L\${libdir} -Wl,--push-state,--as-needed -loffheap -Wl,--pop-state" \
    >"$lib/pkgconfig/offheap-shared.pc"
cat >"$lib/cmake/offheap/offheap-config.cmake" <<CMAKE
# find_package(offheap) defines offheap::offheap, the shared library, and offheap::static.
get_filename_component(_offheap_prefix "\${CMAKE_CURRENT_LIST_DIR}/../../$up" ABSOLUTE)
if(NOT TARGET offheap::offheap)
  add_library(offheap::offheap SHARED IMPORTED)
  set_target_properties(offheap::offheap PROPERTIES
    IMPORTED_LOCATION "\${_offheap_prefix}/$libdir/liboffheap.so.$version"
    IMPORTED_SONAME "liboffheap.so.$abi"
    INTERFACE_INCLUDE_DIRECTORIES "\${_offheap_prefix}/$includedir")
  add_library(offheap::static STATIC IMPORTED)
  set_target_properties(offheap::static PROPERTIES
    IMPORTED_LOCATION "\${_offheap_prefix}/$libdir/liboffheap.a"
    INTERFACE_LINK_LIBRARIES "${system// /;}"
    INTERFACE_INCLUDE_DIRECTORIES "\${_offheap_prefix}/$includedir")
endif()
unset(_offheap_prefix)
CMAKE
cat >"$lib/cmake/offheap/offheap-config-version.cmake" <<CMAKE
set(PACKAGE_VERSION "$version")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
CMAKE
echo "installed offheap $version below ${prefix}: try pkg-config --cflags --libs offheap"
