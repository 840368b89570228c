#!/usr/bin/env bash
# Build the image, run it as strictly as a cluster would, and look into it; with Docker, or with
# Podman where no Docker engine answers.
#
#     bash scripts/image.sh build [OPTION...]     # --target train: the pipeline's
#     bash scripts/image.sh run [OPTION...]       # --publish 5000:5000, say, or --detach
#     bash scripts/image.sh size                  # bytes that we add to the base image
#     bash scripts/image.sh inspect               # user, command, labels, ... as JSON
#
# Every OPTION is the engine's own. $IMAGE is the image's name, car_damage_classifier by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
image=${IMAGE:-car_damage_classifier}

engine() { # prints its name, or fails with what is missing
  if docker info >/dev/null 2>&1; then
    echo docker
  elif command -v podman >/dev/null; then
    echo podman
  else
    echo "error: neither a Docker engine nor Podman is here: install one" >&2
    return 2
  fi
}

build() {
  local engine options=()
  engine=$(engine)
  [ "$engine" = docker ] || options=(--format docker) # an OCI image has no HEALTHCHECK
  "$engine" build ${options[@]+"${options[@]}"} --tag "$image" "$@" .
}

run() {
  local engine
  engine=$(engine)
  exec "$engine" run --rm --read-only --tmpfs /tmp:size=128m --memory 512m \
    --cap-drop ALL --security-opt no-new-privileges "$@" "$image"
}

size() {
  "$(engine)" run --rm --network none "$image" du --summarize --bytes --total /venv /app | tail -n 1 | cut -f 1
}

inspect() {
  "$(engine)" image inspect "$image"
}

case ${1:-} in
  build | run | size | inspect | engine) "$@" ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac
