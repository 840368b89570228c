#!/usr/bin/env bash
# Set up, lint, check types, run every test: bash run_tests.sh [PYTEST OPTION...]
# Stops at the first of the four that fails.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/scripts/venv.sh"
ready_venv requirements.txt requirements-dev.txt

cd "$root"
python -m ruff check .
python -m ruff format --check .
python -m mypy
# A process for each core, up to four: each loads TensorFlow for itself.
python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
