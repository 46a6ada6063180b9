#!/usr/bin/env bash
# The packages as their users get them: scripts/package.sh packs the library, paging, the operators and the program
# out of a clean clone of the last commit, and sees that
#
#   - what is not to be published says so, and what is to be published carries what it needs and no more;
#   - cargo builds each package from its archive alone;
#   - the library builds elsewhere by itself, with its examples, and passes its documentation's tests;
#   - its documentation builds the way docs.rs does it;
#   - `cargo install` gives a program `offheap` that works.
#
# It keeps its builds in a folder of their own, so that no other build takes the clone's code for the tree's.
set -euo pipefail
cd "$(dirname "$0")/.."
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)"
target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/packaging"
CARGO_TARGET_DIR="$(cd "$target/packaging" && pwd)"
export CARGO_TARGET_DIR
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'package.sh: %s\n' "$*" >&2; exit 1; }
# No step takes more than a few minutes; one that hangs ends here.
bounded() {
    timeout --foreground "${PACKAGE_STEP_SECONDS:-900}" "$@" ||
        { echo "package.sh: status $? of $*" >&2; return 1; }
}

git clone --quiet --no-hardlinks . "$work/clone"
cd "$work/clone"

to_publish="$(git ls-files '*Cargo.toml' | xargs grep -L '^publish = false' | tr '\n' ' ')"
[ "$to_publish" = "Cargo.toml cli/Cargo.toml operators/Cargo.toml paging/Cargo.toml " ] ||
    fail "to be published are $to_publish"

grep -q "^## \[$version\]" CHANGELOG.md || fail "CHANGELOG.md has no section for $version"

# What cargo has unpacked and built of archives of this version before is not what is in those of now.
rm -rf "$CARGO_TARGET_DIR"/{debug,release}/.fingerprint/offheap-*
rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/offheap{,-paging,-operators,-cli}-"$version"
rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/cache/*/offheap{,-paging,-operators,-cli}-"$version".crate

packages=(-p offheap -p offheap-paging -p offheap-operators -p offheap-cli)
bounded cargo package --quiet --locked "${packages[@]}" 2>"$work/said" ||
    { cat "$work/said" >&2; exit 1; }
# That tests and benches stay behind is meant, and a profile of the tree is of no use to a package.
meant='^warning: ignoring (test|benchmark) |^warning: profile package spec `tpchgen`'
! grep -E '^warning' "$work/said" | grep -vE "$meant" || fail "cargo package warns"

# expect_files PACKAGE PATTERN...: each file of the archive matches a pattern, and each pattern a file.
expect_files() {
    local package="$1" pattern
    shift
    tar -tzf "$CARGO_TARGET_DIR/package/$package-$version.crate" | sed "s|^$package-$version/||" \
        >"$work/files"
    for pattern in "$@"; do
        grep -qE "^($pattern)$" "$work/files" || fail "$package lacks $pattern"
    done
    ! grep -vE "^($(IFS='|'; echo "$*"))$" "$work/files" || fail "$package carries the files above"
    echo "$package: $(wc -l <"$work/files") files"
}
common=('\.cargo_vcs_info\.json' 'Cargo\.lock' 'Cargo\.toml' 'Cargo\.toml\.orig' 'CHANGELOG\.md'
    'LICENSE-APACHE' 'LICENSE-MIT' 'README\.md' 'src/[a-z0-9_/]+\.rs')
# Of these folders all is carried: the names are the patterns.
mapfile -t folders < <(git ls-files examples include 'docs/*.md')
expect_files offheap "${common[@]}" "${folders[@]}" 'SAFETY\.md'
mapfile -t folders < <(cd paging && git ls-files examples)
expect_files offheap-paging "${common[@]}" "${folders[@]}"
expect_files offheap-operators "${common[@]}"
expect_files offheap-cli "${common[@]}"

mkdir "$work/alone"
tar -xzf "$CARGO_TARGET_DIR/package/offheap-$version.crate" -C "$work/alone"
cd "$work/alone/offheap-$version"
bounded cargo build --quiet --locked --examples --all-features
bounded cargo test --quiet --locked --doc --all-features
# `--cfg docsrs` asks for what only a nightly compiler or this variable allows.
sed -n '/^\[package.metadata.docs.rs\]/,/^$/p' Cargo.toml.orig | grep -q docsrs || fail "no docsrs"
RUSTC_BOOTSTRAP=1 RUSTDOCFLAGS="--cfg docsrs -D warnings" bounded cargo doc --quiet --locked --no-deps \
    --features metrics,serde,tracing,track-allocations

cd "$work/clone"
bounded cargo install --quiet --locked --path cli --root "$work/root" 2>"$work/said" ||
    { cat "$work/said" >&2; exit 1; }
said="$("$work/root/bin/offheap" --version)"
[ "$said" = "offheap $version" ] || fail "offheap --version says: $said"
cd "$work"
bounded "$work/root/bin/offheap" --rows 2000 --spill-dir "$work" --picture "$work/picture.svg" \
    --json "$work/numbers.json" >"$work/table"
grep -q '"verified":true' "$work/numbers.json" || fail "the installed program does not verify"
echo "packages of $version: built from their archives, and the program installed"
