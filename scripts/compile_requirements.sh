#!/usr/bin/env bash
# Pin what requirements/*.in ask for. Keeps the pins there are, unless told otherwise:
#     bash scripts/compile_requirements.sh [--upgrade | --upgrade-package NAME]
# Needs uv: pip install uv
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export UV_CUSTOM_COMPILE_COMMAND="bash scripts/compile_requirements.sh"

compile() { # compile NAME FILE [OPTION...]: pins requirements/NAME.in in FILE, for every system
  local name=$1 file=$2
  shift 2
  uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
    --generate-hashes "$@" --output-file "$file" "requirements/$name.in"
}

compile all requirements.txt "$@"
for name in serve dev gpu; do # of a package that several files name, all take the same version
  compile "$name" "requirements-$name.txt" --constraint requirements.txt "$@"
done
