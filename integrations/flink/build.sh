#!/usr/bin/env bash
# Builds the agent, with the library inside, against one version of Flink; it runs on the others too.
#
#   integrations/flink/build.sh [VERSION]        2.3.0 by default; prints where the jar is
set -euo pipefail
# shellcheck source=integrations/flink/common.sh
. "$(dirname "$0")/common.sh"

need_java
need_flink "${1:-2.3.0}"
build_agent
say "$agent"
