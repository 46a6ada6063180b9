# Sourced by the scripts beside it: fetches Flink's jars, and builds the agent with its library.
# Sets `flink_lib`, `class_path`, `agent` and `work`.
#
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache="${OFFHEAP_FLINK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offheap-flink}"
target="${CARGO_TARGET_DIR:-$root/target}"

say() { printf '%s\n' "$*"; }
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skip() { say "skipped: $*"; exit 0; }

# Fetches one package into an empty folder; ends the script, well, where it cannot be reached.
fetch() { # NAME VERSION FOLDER
    python3 -m pip download --quiet --disable-pip-version-check --retries 2 --no-deps \
        --dest "$3" "$1==$2" >"$3/pip.log" 2>&1 && return
    local log
    log=$(cat "$3/pip.log")
    rm -rf "$3"
    if grep -qiE 'no matching distribution|connection|network|timed out|resolution|proxy' \
        <<<"$log"; then
        skip "the package $1 $2 cannot be reached"
    fi
    say "$log" >&2
    die "the package $1 $2 cannot be fetched"
}

# Unpacks what matches out of a wheel or a source package.
unpack() { # FOLDER TARGET PATTERN...
    local folder=$1 into=$2
    shift 2
    python3 - "$folder" "$into" "$@" <<'PYTHON'
import fnmatch, os, shutil, sys, tarfile, zipfile
folder, into, patterns = sys.argv[1], sys.argv[2], sys.argv[3:]
(package,) = [f for f in os.listdir(folder) if f.endswith((".whl", ".tar.gz"))]
package = os.path.join(folder, package)
def put(name, source):
    with source, open(os.path.join(into, os.path.basename(name)), "wb") as target:
        shutil.copyfileobj(source, target)
wanted = lambda name: any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
if package.endswith(".whl"):
    with zipfile.ZipFile(package) as archive:
        for name in filter(wanted, archive.namelist()):
            put(name, archive.open(name))
else:
    with tarfile.open(package) as archive:
        for member in archive:
            if member.isfile() and wanted(member.name):
                put(member.name, archive.extractfile(member))
PYTHON
}

# Sets `flink_lib` to a folder with the jars of Flink VERSION, fetched once.
need_flink() { # VERSION
    flink_lib="$cache/$1/lib"
    if [ ! -e "$cache/$1/complete" ]; then
        need_pip
        mkdir -p "$cache"
        local folder
        folder=$(mktemp -d "$cache/fetch.XXXXXX")
        say "fetching Flink $1 into $cache"
        fetch apache-flink-libraries "$1" "$folder"
        rm -rf "${cache:?}/$1" && mkdir -p "$flink_lib" "$cache/$1/bin"
        unpack "$folder" "$flink_lib" '*/lib/*.jar'
        unpack "$folder" "$cache/$1/bin" '*/bin/bash-java-utils.jar'
        rm -rf "$folder"
        touch "$cache/$1/complete"
    fi
    # As Flink's own scripts have it: its main jar comes last.
    class_path=$(find "$flink_lib" -name '*.jar' ! -name 'flink-dist-*' | sort | tr '\n' ':')
    class_path+=$(find "$flink_lib" -name 'flink-dist-*.jar')
}

# Sets `flink_bin` to a folder with Flink's own scripts, fetched once; after `need_flink`.
need_scripts() { # VERSION
    flink_bin="$cache/$1/bin"
    if [ ! -e "$flink_bin/taskmanager.sh" ]; then
        need_pip
        local folder
        folder=$(mktemp -d "$cache/fetch.XXXXXX")
        fetch apache-flink "$1" "$folder"
        unpack "$folder" "$flink_bin" 'pyflink/bin/*.sh'
        chmod +x "$flink_bin"/*.sh
        rm -rf "$folder"
    fi
}

# Installs a package of the system's, quietly, where that can be done without asking anybody.
install() { # PACKAGE
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "installing $1"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "$1"; } \
        >/dev/null 2>&1
}

need_java() {
    command -v javac >/dev/null || install openjdk-17-jdk-headless \
        || skip "there is no javac, and no JDK of 17 or later can be installed"
    local version
    version=$(javac -version 2>&1 | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    [ "$version" -ge 17 ] || skip "javac is of JDK $version, and the agent needs 17 or later"
}

need_pip() {
    python3 -m pip --version >/dev/null 2>&1 || install python3-pip \
        || skip "there is no Python with pip, and none can be installed"
}

# Builds the library and the agent's jar, as `agent`, against the Flink that `need_flink` got.
build_agent() {
    work="$target/flink"
    agent="$work/offheap-flink.jar"
    (cd "$root" && cargo build --quiet --release -p offheap-flink)
    rm -rf "$work/agent" && mkdir -p "$work/agent/offheap/flink"
    # Flink itself is built on the class of the JDK that javac warns of, and cannot be told not to.
    javac --release 17 -proc:none -nowarn -cp "$class_path" -d "$work/agent" \
        "$here"/java/offheap/flink/*.java 2>"$work/javac.log" || { cat "$work/javac.log"; exit 1; }
    cp "$target/release/liboffheap_flink.so" "$work/agent/offheap/flink/"
    printf 'Premain-Class: offheap.flink.Agent\n' >"$work/manifest"
    jar --create --file "$agent" --manifest "$work/manifest" -C "$work/agent" .
}

# Compiles Java files against Flink and the agent.
build_java() { # FOLDER FILE...
    local folder=$1
    shift
    rm -rf "$folder" && mkdir -p "$folder"
    javac --release 17 -proc:none -nowarn -cp "$class_path:$agent" -d "$folder" "$@" \
        2>"$work/javac.log" || { cat "$work/javac.log"; exit 1; }
}
