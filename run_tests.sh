#!/usr/bin/env bash
# Set up .venv, lint, check formatting and types, run all tests: bash run_tests.sh [PYTEST OPTION...]
# Stops at the first step that fails.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/scripts/venv.sh"
ready_venv requirements.txt requirements-dev.txt

cd "$root"
python -m ruff check .
python -m ruff format --check .
python -m mypy
# One process per core, but at most four, because each one loads TensorFlow.
python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
