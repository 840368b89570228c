#!/usr/bin/env bash
# From photos to a measured, exported model in one command: bash run_pipeline.sh --help
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash run_pipeline.sh [--raw-dir DIR]... [--kaggle | --sample] [--] [OPTION...]

Makes .venv and installs requirements.txt into it (the first time only), prepares the photos
(step 1, data_preprocessing.py) and trains a model on them (step 2, model_training.py).

Photos come from data/raw/damaged and data/raw/not-damaged in the project. If there are none, the
Kaggle set anujms/car-damage-detection is downloaded. Without a network, sample cars are drawn.

  --raw-dir DIR   a folder with damaged/ and not-damaged/ in it; may be given several times
  --kaggle        insist on the Kaggle set
  --sample        insist on drawn sample cars: needs no photos and no network
  --help          show this help

Every other option of the two steps may follow, and goes to each step that knows it:

  bash run_pipeline.sh --raw-dir ~/cars -- --size 224 --backbone mobilenetv2 --epochs 4

`.venv/bin/python data_preprocessing.py --help` and `.venv/bin/python model_training.py --help`
list them. Paths start at the working directory. PYTHON=/path/to/python chooses the Python (3.11 to
3.13) that .venv is made with.
TEXT
}

for option in "$@"; do
  case $option in
    -h | --help)
      usage
      exit 0
      ;;
  esac
done

source "$(dirname "${BASH_SOURCE[0]}")/scripts/venv.sh"
ready_venv requirements.txt

exec python "$root/scripts/pipeline.py" "$@"
