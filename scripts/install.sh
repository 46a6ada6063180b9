#!/usr/bin/env bash
# Installs the C library: scripts/install.sh PREFIX puts below PREFIX
#
#   include/offheap.h
#   lib/liboffheap.so.VERSION, with the links liboffheap.so.ABI and liboffheap.so
#   lib/liboffheap.a
#   lib/pkgconfig/offheap.pc
#   lib/cmake/offheap/offheap-config.cmake, offheap-config-version.cmake
#
# scripts/install.sh --uninstall PREFIX removes them again. With DESTDIR set, PREFIX lies below it.
# Whoever installs to a place where the system looks for libraries runs ldconfig afterwards.
set -euo pipefail
uninstall=false
if [ "${1:-}" = --uninstall ]; then
    uninstall=true
    shift
fi
[ $# -eq 1 ] || { echo "usage: scripts/install.sh [--uninstall] PREFIX" >&2; exit 2; }
mkdir -p "${DESTDIR:-}$1"
prefix="$(cd "${DESTDIR:-}$1" && pwd)"
cd "$(dirname "$0")/.."
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)"
abi="$(sed -n 's/^#define OFFHEAP_ABI_VERSION \(.*\)/\1/p' include/offheap.h)"
lib="$prefix/lib"

if $uninstall; then
    rm -f "$prefix/include/offheap.h" "$lib"/liboffheap.so{,".$abi",".$version"} \
        "$lib/liboffheap.a" "$lib/pkgconfig/offheap.pc"
    rm -rf "$lib/cmake/offheap"
    exit
fi

# A library with threads and destructors of threads stays loaded, whoever closes it.
cargo rustc --quiet --release -p offheap --features c-abi --lib --crate-type cdylib,staticlib \
    -- -C link-arg=-Wl,-soname,"liboffheap.so.$abi" -C link-arg=-Wl,-z,nodelete
built="${CARGO_TARGET_DIR:-target}/release"

install -d "$prefix/include" "$lib/pkgconfig" "$lib/cmake/offheap"
install -m 644 include/offheap.h "$prefix/include/offheap.h"
install -m 755 "$built/liboffheap.so" "$lib/liboffheap.so.$version"
ln -sf "liboffheap.so.$version" "$lib/liboffheap.so.$abi"
ln -sf "liboffheap.so.$abi" "$lib/liboffheap.so"
install -m 644 "$built/liboffheap.a" "$lib/liboffheap.a"

# Both find the rest from where they lie, so that the tree can be moved.
cat >"$lib/pkgconfig/offheap.pc" <<PC
prefix=\${pcfiledir}/../..
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: offheap
Description: Managed memory for data engines
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -loffheap
Libs.private: -lgcc_s -lpthread -lm -ldl
PC
cat >"$lib/cmake/offheap/offheap-config.cmake" <<CMAKE
# find_package(offheap) defines offheap::offheap, the shared library, and offheap::static.
get_filename_component(_offheap_prefix "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET offheap::offheap)
  add_library(offheap::offheap SHARED IMPORTED)
  set_target_properties(offheap::offheap PROPERTIES
    IMPORTED_LOCATION "\${_offheap_prefix}/lib/liboffheap.so.$version"
    IMPORTED_SONAME "liboffheap.so.$abi"
    INTERFACE_INCLUDE_DIRECTORIES "\${_offheap_prefix}/include")
  add_library(offheap::static STATIC IMPORTED)
  set_target_properties(offheap::static PROPERTIES
    IMPORTED_LOCATION "\${_offheap_prefix}/lib/liboffheap.a"
    INTERFACE_LINK_LIBRARIES "gcc_s;pthread;m;dl"
    INTERFACE_INCLUDE_DIRECTORIES "\${_offheap_prefix}/include")
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
