#!/usr/bin/env bash
# Set up what is missing, then start the studio: packaging/run.sh [FILES or a command such as "encode --help"]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
ensure_environment "[onnx]"
exec "$venv/bin/mmstudio" "$@"
