#!/usr/bin/env bash
# Refuses every system call at every step with all that the system may answer, one process a case,
# and meets the limits of the system; writes what came of it to tests/faults/CASES.md. Takes about
# ten minutes on two cores. Some limits take root, and are skipped without: a line says which.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
if ! OFFHEAP_FAULTS_ALL=1 cargo test --quiet -p offheap-fault-tests -- --nocapture \
    --test-threads 1 >"$out" 2>&1; then
    cat "$out"
    exit 1
fi
grep -a 'skipped\|not reached' "$out" || true
# The first row of a test follows what the harness prints.
rows=$(grep -ao '| [a-z_/]* | [a-z0-9_]* | [0-9].*|$' "$out")
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || echo 'another C library')
{
    cat <<'HEAD'
# System calls that are refused

`scripts/faults.sh` writes this table. Each row is a call that a scenario of `tests/faults/tests`
makes while it is armed: how often (*steps*), with what it is answered (*answers*), and what came of
it, one process a case. For every answer and step there is a case in which that step alone is
refused and one in which all from there on are; those who are interrupted try again for ever, and a
process is killed only once, so `EINTR` and `SIGKILL` have the first alone; so has `0` from
`io_uring_enter`, which is a look in vain.

- *error*: the caller got an error with the value and the rule, and nothing was lost.
- *done without*: the caller got what it asked for. Of threads of their own, a step may not be reached.
- *killed*: the process was killed in place of the call, and left no file.

With *fewer bytes* the call is made, and moves a part of them only.

In the first two cases as much is mapped and as many files are open as before, the manager agrees
with itself, and the same call works afterwards. `cargo test` tries the first answer of each row.
The calls of other threads for memory of their own are left alone: a new thread that has none for
its stack of signals ends the process, in the standard library.

| scenario | call | steps | cases | error | done without | killed | answers |
|---|---|---:|---:|---:|---:|---:|---|
HEAD
    printf '%s\n' "$rows"
    printf '%s\n' "$rows" | awk -F'|' -v kernel="$(uname -r | cut -d. -f1,2)" -v libc="$libc" '
        { steps += $4; cases += $5; error += $6; without += $7; killed += $8 }
        END {
            printf "\n%d cases of %d steps: %d errors, %d done without, %d killed; ", \
                cases, steps, error, without, killed
            printf "on Linux %s with %s.\n", kernel, libc
        }'
} >tests/faults/CASES.md
tail -n 1 tests/faults/CASES.md
