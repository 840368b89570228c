"""Run both steps with the options of run_pipeline.sh.

Each step gets the options that it knows. Step 1 may take an hour, so mistakes that would stop step
2 are found before step 1 starts. Step 2 trains on the data set from step 1.
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
    """Run both steps, and print the next commands."""
    models = run(sys.argv[1:])
    print("\nNext, classify your own photos:")
    if models.absolute() == paths.MODELS:
        print(command("predict.py", "PHOTO_OR_FOLDER"))
        print(command("app.py"), "   # in your browser")
    else:
        print(command("predict.py", "PHOTO_OR_FOLDER", "--models", str(models)))


def run(words: Sequence[str]) -> Path:
    """Check all options, run both steps, and return the folder of all versions."""
    to_prepare, to_train = options_of_both(words)
    data_preprocessing.suit_weights(to_prepare, to_train.weights)
    source = data_preprocessing.source_of(to_prepare)
    print("Checking the options and the initial weights")
    model_training.check(to_train, source.sample, data_preprocessing.photos_of(source))
    print("\nStep 1 of 2: preparing the photos")
    to_train.data = data_preprocessing.prepare_photos(to_prepare, source)
    print("\nStep 2 of 2: training the model")
    return model_training.train(to_train)


def command(script: str, *words: str) -> str:
    """An indented command line for the shell that run_pipeline.sh was started from."""
    programs = (Path(sys.executable), paths.ROOT / script)
    return "    " + shlex.join([*(str(paths.shown(program)) for program in programs), *words])


def options_of_both(words: Sequence[str]) -> tuple[Namespace, Namespace]:
    """The options of step 1 and of step 2. Raises `UserError` for one that neither step knows."""
    words = [word for word in words if word != "--"]  # people may put it before the options
    step_1, step_2 = data_preprocessing.build_parser(), model_training.build_parser()
    to_prepare, others = step_1.parse_known_args(words)
    if unknown := step_2.parse_known_args(others)[1]:
        raise UserError(f"Unknown option {shlex.join(unknown)}. See run_pipeline.sh --help.")
    to_train = step_2.parse_known_args(words)[0]
    if to_train.data:
        raise UserError(
            f"run_pipeline.sh prepares its own data set and cannot use --data {to_train.data}. "
            "Remove the option, or run model_training.py."
        )
    return to_prepare, to_train


if __name__ == "__main__":
    sys.exit(exit_code(main))
