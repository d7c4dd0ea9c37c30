#!/usr/bin/env bash
# Renew packaging/constraints.txt: install the newest allowed versions into an empty environment and pin them. Run the
# checks with them before committing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
python3 -m venv "$fresh/venv"
"$fresh/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$root[dev]"
{
    echo "# Versions that were seen to work together; renewed by packaging/renew_constraints.sh."
    "$fresh/venv/bin/python" -m pip freeze --exclude mmstudio | grep -v ' @ '
} > "$root/packaging/constraints.txt"
echo "Pinned. Now run packaging/test.sh." >&2
