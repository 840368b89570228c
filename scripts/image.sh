#!/usr/bin/env bash
# Build the image, run it with the restrictions of a cluster, and inspect it. Uses Docker, or Podman
# if no Docker engine is running.
#
#     bash scripts/image.sh build [OPTION...]     # --target train builds the pipeline's image
#     bash scripts/image.sh run [OPTION...]       # for example --publish 5000:5000 or --detach
#     bash scripts/image.sh size                  # bytes that we add to the base image
#     bash scripts/image.sh inspect               # user, command, labels and more, as JSON
#
# Each OPTION goes to docker or podman. $IMAGE is the image's name, car_damage_classifier by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
image=${IMAGE:-car_damage_classifier}

engine() { # prints docker or podman
  if docker info >/dev/null 2>&1; then
    echo docker
  elif command -v podman >/dev/null; then
    echo podman
  else
    echo "error: Neither a Docker engine nor Podman was found. Install one." >&2
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
