#!/usr/bin/env bash
# Runs a standalone cluster of processes on the backend, as Flink's own scripts start it: jobs in SQL
# on two TaskManagers, some times; then one of them is killed in the middle of a job, which recovers,
# another one takes its place, and all jobs run again. By hand; about five minutes.
#
#   integrations/flink/cluster.sh [VERSION]      2.3.0 by default; 1.20.5 is the other one
set -euo pipefail
# shellcheck source=integrations/flink/common.sh
. "$(dirname "$0")/common.sh"

version="${1:-2.3.0}"
rows="${2:-300000}"
need_java
need_flink "$version"
need_scripts "$version"
build_agent
build_java "$work/tests" "$here"/tests/*.java

home="$work/cluster-$version"
rm -rf "$home" && mkdir -p "$home/conf" "$home/lib" "$home/log" "$home/pid" "$home/tmp"
ln -s "$flink_lib"/*.jar "$home/lib/"
cp -r "$flink_bin" "$home/bin"
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("localhost", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
cat >"$home/conf/config.yaml" <<YAML
jobmanager.rpc.address: localhost
jobmanager.rpc.port: $(free_port)
jobmanager.bind-host: localhost
jobmanager.memory.heap.size: 256m
rest.address: localhost
rest.bind-address: localhost
rest.port: $port
taskmanager.host: localhost
taskmanager.bind-host: localhost
taskmanager.numberOfTaskSlots: 2
taskmanager.memory.task.heap.size: 192m
taskmanager.memory.managed.size: 96m
taskmanager.memory.network.min: 48m
taskmanager.memory.network.max: 48m
metrics.fetcher.update-interval: 100
# How long the JobManager waits for the metrics of a TaskManager that was killed.
web.timeout: 5000
# Both TaskManagers are to work, however little there is to do.
taskmanager.load-balance.mode: SLOTS
heartbeat.interval: 1000
heartbeat.timeout: 10000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 10
restart-strategy.fixed-delay.delay: 1 s
io.tmp.dirs: $home/tmp
env.pid.dir: $home/pid
env.log.dir: $home/log
env.java.opts.taskmanager: -javaagent:$agent -Doffheap.verify=true -Doffheap.report=true
YAML
cat >"$home/conf/log4j.properties" <<'LOG'
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = ${sys:log.file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c{1} %m%n
LOG
printf 'localhost\n' | tee "$home/conf/masters" >"$home/conf/workers"
export FLINK_CONF_DIR="$home/conf" FLINK_LOG_DIR="$home/log" FLINK_PID_DIR="$home/pid"
unset FLINK_HOME

stop() {
    "$home/bin/taskmanager.sh" stop-all >>"$home/stop.log" 2>&1 || true
    "$home/bin/jobmanager.sh" stop-all >>"$home/stop.log" 2>&1 || true
}
trap stop EXIT

processes=()
start_task_manager() { # NAME
    "$home/bin/taskmanager.sh" start -D taskmanager.resource-id="$1" >>"$home/start.log" 2>&1 \
        || { cat "$home/start.log" >&2; die "a TaskManager does not start"; }
    processes+=("$1=$(tail -n 1 "$home"/pid/*taskexecutor.pid)")
}
client() { # WORD
    java -Xmx384m -XX:+UseSerialGC -cp "$work/tests:$class_path" \
        StandaloneTest "$port" "$@" "${processes[@]}" 2>"$home/client.log" \
        || { tail -n 40 "$home/client.log" >&2; die "the jobs; see $home"; }
}

say "Flink $version, a cluster at port $port"
"$home/bin/jobmanager.sh" start >"$home/start.log" 2>&1 \
    || { cat "$home/start.log" >&2; die "the JobManager does not start"; }
start_task_manager first
start_task_manager second
client "$rows" run
client "$((rows * 20))" kill
# What was killed is gone; a new one takes its place.
living=()
for process in "${processes[@]}"; do
    if kill -0 "${process#*=}" 2>/dev/null; then living+=("$process"); fi
done
[ "${#living[@]}" = 1 ] || die "${#living[@]} TaskManagers live, not 1"
processes=("${living[@]}")
start_task_manager third
client "$rows" run

stop
trap - EXIT
# Each one that ended in peace says what it did.
for process in "${processes[@]}"; do
    while kill -0 "${process#*=}" 2>/dev/null; do sleep 0.1; done
done
reports=$(grep -h '^offheap: fallbacks=' "$home"/log/*.out)
say "$reports"
[ "$(grep -c 'fallbacks=0 fallbacksReturned=0 foreign=0 inUseBytes=0 ' <<<"$reports")" = 2 ] \
    || die "two TaskManagers did not end with everything returned; see $home/log"
# The JobManager has no agent, and nothing of it runs there.
! grep -qi 'offheap' "$home"/log/*standalonesession*.out || die "the JobManager speaks of the region"
say "all passed on a cluster of Flink $version"
