#!/usr/bin/env bash
# Set up .venv, lint, check formatting and types, run the tests. Stops at the first step that fails:
#     bash run_tests.sh [PYTEST OPTION...]
# Leaves out the tests marked slow. `-m slow` runs only those, and `-m ""` runs all.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/scripts/venv.sh"
ready_venv requirements.txt requirements-dev.txt

cd "$root"
python -m ruff check .
python -m ruff format --check .
python -m mypy
# One process per core, but at most four, because each one loads TensorFlow.
python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile -m "not slow" "$@"
