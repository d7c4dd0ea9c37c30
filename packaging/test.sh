#!/usr/bin/env bash
# Set up what is missing, then run every check: lint, types, import contracts, tests. Needs no screen.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
ensure_environment "[dev]"
cd "$root"

# The flows with a real window manager and a real drop need these; without them they are skipped, and say so.
for program in Xvfb openbox xdotool; do
    command -v $program >/dev/null || { install_packages xvfb openbox xdotool || true; break; }
done

export QT_QPA_PLATFORM=offscreen
export MMSTUDIO_HOME
MMSTUDIO_HOME=$(mktemp -d)
trap 'rm -rf "$MMSTUDIO_HOME"' EXIT
export XDG_RUNTIME_DIR="$MMSTUDIO_HOME" HF_HUB_OFFLINE=1

say "The environment is ready after $SECONDS s."
"$venv/bin/ruff" check .
"$venv/bin/mypy"
"$venv/bin/lint-imports"
cores=$(getconf _NPROCESSORS_ONLN)
"$venv/bin/python" -m pytest -n $((cores < 4 ? cores : 4)) "$@"
