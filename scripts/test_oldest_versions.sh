#!/usr/bin/env bash
# Before a release: install the oldest versions that pyproject.toml allows and run the tests of what
# meets them most: config, engine, losses, optimizers, evaluators, results, reports.
#   scripts/test_oldest_versions.sh [more arguments for pytest]
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet uv
"$venv/bin/uv" pip compile --quiet --resolution lowest-direct --extra test \
  --python "$venv/bin/python" pyproject.toml -o "$venv/oldest.txt"
"$venv/bin/pip" install --quiet -r "$venv/oldest.txt"
"$venv/bin/pip" install --quiet --no-deps -e .
"$venv/bin/pip" list | grep -iE '^(torch|torchvision|hydra-core|pydantic|numpy|datasets) '

keep='test_(config|rooms|experiments|engine|stacked|distributed|losses|gradients|optimizers|schedules|models|augment|evaluators|data|results|paper|report|cli|tracker|sweeper)'
mapfile -t files < <(git ls-files 'tests/*test_*.py' | grep -E "$keep")
"$venv/bin/python" -m pytest "${files[@]}" "$@"
