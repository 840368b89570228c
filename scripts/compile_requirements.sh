#!/usr/bin/env bash
# Pin the packages that requirements/*.in list. Existing pins stay, unless you ask for upgrades:
#     bash scripts/compile_requirements.sh [--upgrade | --upgrade-package NAME]
# Needs uv: pip install uv
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export UV_CUSTOM_COMPILE_COMMAND="bash scripts/compile_requirements.sh"

compile() { # compile NAME FILE [OPTION...]: pins requirements/NAME.in in FILE, for all systems
  local name=$1 file=$2
  shift 2
  uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
    --generate-hashes "$@" --output-file "$file" "requirements/$name.in"
}

compile all requirements.txt "$@"
for name in serve gpu; do # with the versions of requirements.txt
  compile "$name" "requirements-$name.txt" --constraint requirements.txt "$@"
done
# With the versions that they are installed on top of. Wheels only, or uv tries to build s3fs's oldest
# dependencies.
compile buckets requirements-buckets.txt --constraint requirements.txt --only-binary :all: "$@"
compile cluster requirements-cluster.txt --constraint requirements.txt \
  --constraint requirements-buckets.txt --only-binary :all: "$@"
compile dev requirements-dev.txt --constraint requirements.txt \
  --constraint requirements-cluster.txt "$@"
