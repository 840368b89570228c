#!/usr/bin/env bash
# From photos to a measured, exported model in one command: bash run_pipeline.sh --help
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash run_pipeline.sh [--raw-dir DIR]... [--kaggle | --sample] [--] [OPTION...]

Makes .venv and installs requirements.txt into it (the first time only), prepares the photos
(step 1, data_preprocessing.py) and trains a model on them (step 2, model_training.py).

Photos come from data/raw/damaged and data/raw/not-damaged; where there are none, the Kaggle set
anujms/car-damage-detection is fetched; where there is no network either, sample cars are drawn.

  --raw-dir DIR   a folder with damaged/ and not-damaged/ in it; may be given several times
  --kaggle        insist on the Kaggle set
  --sample        insist on drawn sample cars: needs no photos and no network
  --help          show this help

Every other option of the two steps may follow, and reaches the step that knows it, or both:

  bash run_pipeline.sh --raw-dir ~/cars -- --size 224 --backbone mobilenetv2 --epochs 4

`.venv/bin/python data_preprocessing.py --help` and `.venv/bin/python model_training.py --help`
list them. PYTHON=/path/to/python chooses the Python (3.11 to 3.13) that .venv is made with.
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

# Words quoted for the shell, hence eval below. Both are asked first: a typo is found before step 1.
options_1=$(python "$root/scripts/share_options.py" data_preprocessing "$@")
options_2=$(python "$root/scripts/share_options.py" model_training "$@")

stood_in=$PWD
cd "$root"
printf '\nStep 1 of 2: preparing the photos\n'
eval "python data_preprocessing.py $options_1"
printf '\nStep 2 of 2: training the model\n'
eval "python model_training.py $options_2"

python=$(venv_python)
printf '\nNext, ask the model about photos of your own:\n'
[ "$stood_in" = "$root" ] || echo "    cd '$root'"
echo "    ${python#"$root/"} predict.py PHOTO_OR_FOLDER"
[ ! -e app.py ] || echo "    ${python#"$root/"} app.py    # the same as a service, with a page"
