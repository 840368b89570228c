#!/usr/bin/env bash
# Prepare photos and train a model in one command: bash run_pipeline.sh --help
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash run_pipeline.sh [--raw-dir DIR]... [--kaggle | --sample] [--] [OPTION...]

Prepares your photos (step 1, data_preprocessing.py) and trains a model on them (step 2,
model_training.py). The first run also creates .venv and installs requirements.txt into it.

The photos are in data/raw/damaged and data/raw/not-damaged in the project. If there are none, the
script downloads the Kaggle set anujms/car-damage-detection. Without a network, it draws sample
cars.

  --raw-dir DIR   folder that contains damaged/ and not-damaged/; repeat it for more folders
  --kaggle        always use the Kaggle set
  --sample        always use drawn sample cars; needs no photos and no network
  --help          show this help

You can add any option of the two steps. Each step gets the options that it knows:

  bash run_pipeline.sh --raw-dir ~/cars -- --size 224 --backbone mobilenetv2 --epochs 4

To list them, run `.venv/bin/python data_preprocessing.py --help` and
`.venv/bin/python model_training.py --help`. Relative paths start at your working directory. Set
PYTHON=/path/to/python to choose the Python (3.11 to 3.13) for .venv.
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
