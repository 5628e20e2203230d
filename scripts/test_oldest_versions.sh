#!/usr/bin/env bash
# Before a release: install the oldest versions that pyproject.toml allows and run the tests of ppr's
# own rooms, which use all of them.
#   [VENV=DIR] scripts/test_oldest_versions.sh [more arguments for pytest]
# VENV is an environment to make and keep, or to use again; without it one is made and removed. For
# torch's CPU build: UV_INDEX=https://download.pytorch.org/whl/cpu UV_INDEX_STRATEGY=unsafe-best-match
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${VENV:-}" ]; then
  VENV=$(mktemp -d)
  trap 'rm -rf "$VENV"' EXIT
fi
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/pip" install --quiet uv
uv() { "$VENV/bin/uv" "$@" --quiet --python "$VENV/bin/python"; }
uv pip compile --resolution lowest-direct --extra test pyproject.toml -o "$VENV/oldest.txt"
uv pip install -r "$VENV/oldest.txt"
uv pip install --no-deps -e .
"$VENV/bin/pip" list | grep -iE '^(torch|torchvision|hydra-core|pydantic|numpy|datasets|rich) '

rooms=(cli components config data engine launchers losses papers report results trackers)
"$VENV/bin/python" -m pytest "${rooms[@]/#/tests/}" "$@"
