"""Run both steps with the options that run_pipeline.sh was given.

An option goes to each step that knows it. Step 1 may take an hour, so what would make step 2 fail
is checked before. Step 2 trains on the data set that step 1 has just made.
"""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import data_preprocessing
import model_training
from car_damage import paths
from car_damage.errors import UserError, exit_code


def main() -> None:
    """Check all options, then run both steps and say what comes next."""
    to_prepare, to_train = options_of_both(sys.argv[1:])
    data_preprocessing.suit_weights(to_prepare, to_train.weights)
    source = data_preprocessing.source_of(to_prepare)
    print("checking what training starts from")
    model_training.check(to_train, source.sample, data_preprocessing.photos_of(source))
    print("\nStep 1 of 2: preparing the photos")
    to_train.data = data_preprocessing.prepare_photos(to_prepare, source)
    print("\nStep 2 of 2: training the model")
    models = model_training.train(to_train)

    print("\nNext, classify photos of your own:")
    if models.absolute() == paths.MODELS:
        print(command("predict.py", "PHOTO_OR_FOLDER"))
        print(command("app.py"), "   # the same as a service, with a page")
    else:
        print(command("predict.py", "PHOTO_OR_FOLDER", "--models", str(models)))


def command(script: str, *words: str) -> str:
    """An indented line to type into the shell that run_pipeline.sh was started from."""
    programs = (Path(sys.executable), paths.ROOT / script)
    return "    " + shlex.join([*(str(paths.shown(program)) for program in programs), *words])


def options_of_both(words: Sequence[str]) -> tuple[Namespace, Namespace]:
    """The options of step 1 and of step 2. Raises `UserError` for one that neither knows."""
    words = [word for word in words if word != "--"]  # may come before the options
    step_1, step_2 = data_preprocessing.build_parser(), model_training.build_parser()
    to_prepare, others = step_1.parse_known_args(words)
    if unknown := step_2.parse_known_args(others)[1]:
        raise UserError(f"neither step knows {shlex.join(unknown)}: see run_pipeline.sh --help")
    to_train = step_2.parse_known_args(words)[0]
    if to_train.data:
        raise UserError(
            f"--data {to_train.data} is for model_training.py alone: run_pipeline.sh trains on "
            "the photos that it prepares"
        )
    return to_prepare, to_train


if __name__ == "__main__":
    sys.exit(exit_code(main))
