#!/usr/bin/env bash
# Set up, lint, run every test: bash run_tests.sh [PYTEST OPTION...]
# Stops at the first of the three that fails.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/scripts/venv.sh"
ready_venv requirements.txt requirements-dev.txt

cd "$root"
python -m ruff check .
python -m ruff format --check .
python -m pytest "$@"
