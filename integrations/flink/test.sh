#!/usr/bin/env bash
# Runs a real Flink on the backend: jobs in SQL on a cluster in one process, and the memory manager
# alone. Fetches Flink's jars once, about 330 MB, and skips where they cannot be reached. Two minutes.
#
#   integrations/flink/test.sh [VERSION]     2.3.0 by default; 1.20.5 is the other one that is tested
set -euo pipefail
# shellcheck source=integrations/flink/common.sh
. "$(dirname "$0")/common.sh"

version="${1:-2.3.0}"
need_java
need_flink "$version"
build_agent
build_java "$work/tests" "$here"/tests/*.java
build_java "$work/tests-changed" "$here"/tests/changed/*.java

logs="$work/logs"
rm -rf "$logs" && mkdir -p "$logs"
cat >"$work/tests/log4j2.properties" <<'LOG'
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_ERR
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %p %c{1} %m%n
logger.offheap.name = offheap.flink
logger.offheap.level = INFO
LOG

# Runs a Java program with the agent; prints what it says, and everything if it fails.
expect_ok() { # NAME JAVA_ARGUMENT...
    local name=$1
    shift
    if ! java -Xmx512m -XX:+UseSerialGC -javaagent:"$agent" -cp "$work/tests:$class_path" "$@" \
        >"$logs/$name.out" 2>"$logs/$name.err"; then
        tail -n 60 "$logs/$name.err" "$logs/$name.out" >&2
        die "$name; see $logs"
    fi
    sed "s|^|$name: |" "$logs/$name.out"
}

# Something that was written while a program ran.
expect_text() { # NAME TEXT
    grep -qF -- "$2" "$logs/$1".* || die "$1 does not say: $2; see $logs"
}

# A program that the agent keeps from starting, and why.
expect_refusal() { # NAME CLASS_PATH TEXT
    local code=0
    java -javaagent:"$agent" -cp "$2" Hello >"$logs/$1.out" 2>"$logs/$1.err" || code=$?
    [ "$code" = 78 ] || die "$1: exit code $code, not 78; see $logs"
    [ ! -s "$logs/$1.out" ] || die "$1: the program ran; see $logs"
    expect_text "$1" "$3"
    say "$1: refused to start"
}

say "Flink $version"
region=(-Doffheap.bytes=16m)
expect_ok settings offheap.flink.SettingsTest
expect_ok strange "${region[@]}" PagesTest strange
expect_text strange "was freed twice, or is of somebody else"
expect_ok exact "${region[@]}" PagesTest exact
expect_ok churn "${region[@]}" PagesTest churn
expect_ok churn-few -Doffheap.bytes=1m PagesTest churn-few
expect_ok churn-colour "${region[@]}" -Doffheap.colour=true PagesTest churn
expect_ok wipe "${region[@]}" -Doffheap.wipe=true PagesTest wipe
expect_ok colour "${region[@]}" -Doffheap.colour=true PagesTest colour
expect_ok idle "${region[@]}" -Doffheap.idle.above=1m -Doffheap.idle.every=50 PagesTest idle
expect_ok other-page-size "${region[@]}" PagesTest other-page-size
expect_text other-page-size "has pages of 4096 bytes, and the region of 32768"
expect_ok no-size PagesTest fallback
expect_text no-size "neither offheap.bytes nor the command line says"
expect_ok no-library "${region[@]}" -Doffheap.library=/nowhere.so PagesTest fallback
expect_text no-library "managed memory comes from Unsafe, as without the agent"
expect_ok wrong-value "${region[@]}" -Doffheap.huge-pages=yes -Doffheap.colr=true PagesTest fallback
expect_text wrong-value "offheap.huge-pages is transparent, never or reserved, not yes"
expect_text wrong-value "there is no property offheap.colr"

expect_refusal changed "$work/tests-changed:$work/tests:$class_path" \
    "MemoryUtils has 2 calls of Unsafe.allocateMemory, not 1"
java -javaagent:"$agent" -cp "$work/tests" Hello >"$logs/no-flink.out" 2>"$logs/no-flink.err"
expect_text no-flink "no Flink on the class path: the agent does nothing"
expect_text no-flink "runs"
say "no-flink: does nothing"

expect_ok jobs -Doffheap.bytes=128m -Doffheap.verify=true -Doffheap.report=true \
    JobsTest whole 300000
expect_text jobs "fallbacks=0 fallbacksReturned=0 foreign=0 inUseBytes=0"
expect_ok small -Doffheap.bytes=8m -Doffheap.verify=true JobsTest small 300000
expect_text small "the region has no page left"
expect_ok network -Doffheap.bytes=192m -Doffheap.network=true -Doffheap.verify=true \
    JobsTest network 100000
say "all passed on Flink $version"
