# To be sourced: `reported WORDS BUG COMMAND...` runs a command with a bug in it, and ends the script unless
# the command fails and says these words. A BUG that begins with `core:` is planted in the core; any other is
# a mistake that the command makes when it gets it as its last argument.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
reported() {
    local words=$1 bug=$2
    shift 2
    local run=("$@")
    case "$bug" in
    core:*) run=(env OFFHEAP_SEEDED="${bug#core:}" "$@") ;;
    *) run=("$@" "$bug") ;;
    esac
    if { "${run[@]}"; } >"$log" 2>&1; then
        echo "NOT REPORTED: $bug" >&2
        exit 1
    fi
    if ! grep -q -- "$words" "$log"; then
        cat "$log" >&2
        echo "NOT REPORTED as \`$words\`: $bug" >&2
        exit 1
    fi
    echo "reported: $bug: $words"
}
