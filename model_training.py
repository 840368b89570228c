"""Step 2: arrays become a measured, exported model.

    python model_training.py                                  # ResNet-50 from ImageNet weights
    python model_training.py --backbone mobilenetv2 --epochs 4
    python model_training.py --weights models/<version>/model.keras   # go on from an earlier one
    python model_training.py --resume                         # with the options of a killed run

Reads data/processed, which step 1 wrote. Writes models/<version>/ and makes it the current version
unless the one in use is better on the same test photos.
"""

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from car_damage import model_store, paths
from car_damage.chatter import without_chatter
from car_damage.dataset.arrays import CONFIG, Dataset, Row, load
from car_damage.dataset.split import SPLITS
from car_damage.errors import UserError, exit_code
from car_damage.files import sha256_of
from car_damage.manifest import TrainingSettings
from car_damage.options import (
    add_costs,
    command_again,
    costs_of,
    positive_number,
    share,
    whole_number,
)
from car_damage.release.precisions import PRECISIONS
from car_damage.training.backbones import BACKBONES, DEFAULT, SAMPLE_DEFAULT, TINY
from car_damage.training.earlier_model import manifest_beside

if TYPE_CHECKING:
    from car_damage.release.version import Trained
    from car_damage.training.initial_weights import Start

EPOCHS = 6
BATCH_SIZE = 32
TWICE_LEFT_OUT = "--cross-sources leaves out each source in turn: drop --leave-out"
TINY_EPOCHS = 30  # of a small network from random values, when no pre-trained one can be had


def build_parser() -> argparse.ArgumentParser:
    """The options of step 2."""
    parser = argparse.ArgumentParser(
        prog="model_training.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_start(parser)
    add_fine_tuning(parser)
    add_result(parser)
    add_costs(parser)
    return parser


def add_start(parser: argparse.ArgumentParser) -> None:
    """The folders, the backbone and its weights."""
    add = parser.add_argument_group("what training starts from").add_argument
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="data set (default: data/processed in the project, or data/sample/processed if there "
        "is no other)",
    )
    add(
        "--models",
        type=Path,
        metavar="DIR",
        help="default: models in the project, or models/sample for drawn cars",
    )
    add(
        "--backbone",
        choices=BACKBONES,
        help=f"default: that of --weights; {DEFAULT.name}; drawn cars: {SAMPLE_DEFAULT.name}",
    )
    add(
        "--weights",
        metavar="SOURCE",
        help="imagenet (fetched from the network once), none, or a .keras, .h5, .weights.h5 or "
        ".npz file (default: imagenet; drawn cars: the real model in use)",
    )
    add("--resume", action="store_true", help="go on from the last epoch of a killed run")


def add_fine_tuning(parser: argparse.ArgumentParser) -> None:
    """How the model is trained."""
    add = parser.add_argument_group("how the model is trained").add_argument
    add("--unfreeze", metavar="STAGE", help="fine-tune from this stage on; a wrong name lists all")
    add(
        "--epochs",
        type=whole_number(0, 1000),
        metavar="N",
        help=f"of fine-tuning; 0 fits the head only (default: {EPOCHS})",
    )
    add(
        "--learning-rate",
        type=positive_number,
        metavar="RATE",
        help="peak of fine-tuning's rate (default: as suits the backbone)",
    )
    add(
        "--keep",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="of the weights that training started from, to mix into those at its end: a model "
        "that was good before stays so on photos unlike the new ones (default: %(default)s)",
    )
    add("--batch-size", type=whole_number(1, 1024), default=BATCH_SIZE, metavar="N")
    add("--seed", type=whole_number(0, 2**32 - 1), default=0, metavar="N")


def add_result(parser: argparse.ArgumentParser) -> None:
    """How the model is measured, exported and put into use."""
    add = parser.add_argument_group("what becomes of the model").add_argument
    add(
        "--cross-sources",
        nargs="?",
        type=whole_number(2, 100),
        const=0,
        metavar="K",
        help="first train K more models, each without some of the sources, to measure and "
        "calibrate on photos of sources that a model never saw (default: up to 6)",
    )
    add(
        "--leave-out",
        action="append",
        default=[],
        metavar="SOURCE",
        help="train without this source and measure on its photos instead; may be repeated. The "
        "version is never made current",
    )
    add(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="of model.tflite (default: %(default)s)",
    )
    add(
        "--promote",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: make the new version current if it is surely as good (default: %(default)s)",
    )


def main(argv: list[str] | None = None) -> None:
    """Parse, check, then work."""
    train(build_parser().parse_args(argv))


def check(args: argparse.Namespace, sample: bool, photos: Sequence[Row]) -> None:
    """Refuse what would fail once the photos are prepared: options, sources and weights.

    `sample`: the photos will be drawn cars. `photos`: those that are there already. Raises
    `UserError`.
    """
    costs_of(args)
    if args.leave_out and args.cross_sources is not None:
        raise UserError(TWICE_LEFT_OUT)
    if photos:
        check_held_out(args, photos)
    load_tensorflow()
    from car_damage.training.classifier import trainable_from

    with contextlib.redirect_stdout(io.StringIO()):  # step 2 says it again
        start = choose_start(args, sample, models_folder(args, sample))
    check_unseen(args, start, photos)
    trainable_from(start.model, choose_settings(args, start).unfreeze)


def check_held_out(args: argparse.Namespace, photos: Sequence[Row]) -> None:
    """Raise `UserError` if the photos lack the sources that the options hold out."""
    from car_damage.evaluation.folds import check_folds
    from car_damage.evaluation.held_out_sources import check_sources

    check_sources(photos, args.leave_out)
    if args.cross_sources is not None:
        check_folds(photos, args.cross_sources or None)


def check_unseen(args: argparse.Namespace, start: "Start", photos: Sequence[Row]) -> None:
    """Raise `UserError` if the start was trained on one of the photos that will be held out."""
    every_source = args.cross_sources is not None
    held_out = (photo for photo in photos if every_source or photo.source in args.leave_out)
    learnt = start.learnt or frozenset()
    if learnt and any(sha256_of(paths.located(photo.path)) in learnt for photo in held_out):
        raise learnt_before(start)


def learnt_before(start: "Start") -> UserError:
    """The error of holding out photos that the start was trained on."""
    return UserError(
        f"{start.weights.source} was trained on photos of this data set: --leave-out and "
        "--cross-sources need weights that never saw the sources"
    )


def train(args: argparse.Namespace) -> Path:
    """Do the steps in order; return the folder of the new version and its neighbours.

    TensorFlow is imported here: a wrong option is refused without it.
    """
    costs = costs_of(args)
    load_tensorflow()
    from car_damage.dataset.views import without_learnt
    from car_damage.evaluation.held_out_sources import leave_out
    from car_damage.training import hardware, phases
    from car_damage.training.checkpoints import Run, check_can_resume
    from car_damage.training.cross_sources import answer_folds

    dataset = leave_out(load(args.data or default_data_set()), args.leave_out)
    folds = choose_folds(args, dataset)
    models = models_folder(args, dataset.config.sample)
    hardware.set_up(args.seed)
    start = choose_start(args, dataset.config.sample, models)
    note_size(args.weights, dataset.config.size)
    dataset, moved = without_learnt(dataset, start.learnt or frozenset())
    check_learnt(start, moved, bool(args.leave_out or folds))
    settings = choose_settings(args, start)
    *fold_runs, run = (
        Run(models, start, settings.model_copy(update={"leave_out": sources}), dataset.config)
        for sources in (*folds, settings.leave_out)
    )
    if args.resume:
        check_can_resume([*fold_runs, run])
    answers = answer_folds(start, dataset, fold_runs, args.resume)
    phases.train(start, dataset, run, args.resume)

    from car_damage.release.version import Trained

    release(args, Trained(start, settings, moved, run.folder, answers, costs), dataset, models)
    for each in (*fold_runs, run):
        each.finish()
    return models


def release(args: argparse.Namespace, trained: "Trained", dataset: Dataset, models: Path) -> None:
    """Make a version of the trained model; say how good it is and whether it is in use."""
    from car_damage.release import promotion, version
    from car_damage.report.page import write_report

    manifest, exported = version.release(trained, dataset, models, args.precision)
    print(version.table(manifest))
    rule = "never" if args.leave_out else args.promote
    print(promotion.promote(models, manifest.version, exported, dataset, rule, trained.costs))
    print(f"more, and where it is wrong: {write_report(models, manifest.version)}")


def load_tensorflow() -> None:
    """Load TensorFlow without its messages."""
    with without_chatter():
        import tensorflow as tf

        tf.config.list_physical_devices()  # which has messages of its own


def models_folder(args: argparse.Namespace, sample: bool) -> Path:
    """Where versions go."""
    return args.models or paths.shown(paths.SAMPLE_MODELS if sample else paths.MODELS)


def choose_start(args: argparse.Namespace, sample: bool, models: Path) -> "Start":
    """What training starts from.

    Raises `UserError`. Where ImageNet's weights cannot be fetched, it holds the command that starts
    from the included model instead.
    """
    from car_damage.training.initial_weights import ImagenetUnavailable, starting_model

    try:
        return starting_model(args.backbone, args.weights, sample, models)
    except ImagenetUnavailable as error:
        raise UserError(f"{error}. {without_network(args.backbone)}") from error


def without_network(backbone: str | None) -> str:
    """What to type where ImageNet's weights cannot be fetched: what was typed, with a file."""
    included = sorted((paths.MODELS / model_store.PRETRAINED).glob(f"*/{model_store.KERAS_MODEL}"))
    if not included:
        return "Connect to the internet, or name a file with --weights"
    weights = paths.shown(included[-1])
    more = ["--weights", str(weights)]
    if backbone and (manifest := manifest_beside(str(weights))) and manifest.backbone:
        more += ["--backbone", manifest.backbone]  # the last one counts
    return f"To start from the included model instead: {command_again(*more)}"


def note_size(weights: str | None, size: int) -> None:
    """Print how to make a data set of the size that an earlier model was trained on."""
    manifest = manifest_beside(weights)
    if manifest and manifest.size != size:
        print(
            f"{weights} was trained on images of {manifest.size} px, and this data set has "
            f"{size} px. For the same size: python data_preprocessing.py --size {manifest.size}"
        )


def choose_folds(args: argparse.Namespace, dataset: Dataset) -> list[tuple[str, ...]]:
    """The folds that `--cross-sources` asks for; none without it."""
    from car_damage.evaluation.folds import deal_folds

    if args.cross_sources is None:
        return []
    if args.leave_out:
        raise UserError(TWICE_LEFT_OUT)
    rows = [row for name in SPLITS for row in getattr(dataset, name).rows]
    return deal_folds(rows, args.cross_sources or None)


def check_learnt(start: "Start", moved: dict[str, int], leaves_out: bool) -> None:
    """Print how many photos of the data set the earlier model was trained on.

    Raises `UserError` if sources are left out, which that model may have been trained on.
    """
    if moved and leaves_out:
        raise learnt_before(start)
    if start.learnt is None:
        print(
            f"it is not known which photos {start.weights.source} was trained on: if some of this "
            "data set are among them, the metrics will be too good"
        )
    elif moved:
        print(
            f"{start.weights.source} was trained on photos of this data set: their "
            f"{moved['val']} validation and {moved['test']} test photos now train"
        )


def choose_settings(args: argparse.Namespace, start: "Start") -> TrainingSettings:
    """The training settings: the options, and defaults that suit the start.

    Raises `UserError` for `--keep` without an earlier model to mix with.
    """
    if args.keep and not start.goes_on:
        raise UserError("--keep mixes with an earlier model: name its model.keras with --weights")
    backbone = start.backbone
    default_epochs = TINY_EPOCHS if backbone is TINY else EPOCHS
    epochs = default_epochs if args.epochs is None else args.epochs
    return TrainingSettings(
        unfreeze=args.unfreeze or backbone.default_stage,
        epochs=epochs,
        learning_rate=args.learning_rate or backbone.learning_rate,
        batch_size=args.batch_size,
        seed=args.seed,
        keep=args.keep,
        leave_out=tuple(args.leave_out),
    )


def default_data_set() -> Path:
    """The project's data set of real photos, or if there is none, that of drawn cars."""
    real, sample = paths.shown(paths.PROCESSED), paths.shown(paths.SAMPLE_PROCESSED)
    if (real / CONFIG).exists() or not (sample / CONFIG).exists():
        return real
    print(f"there is no data set in {real}: taking that of drawn cars in {sample}")
    return sample


if __name__ == "__main__":
    sys.exit(exit_code(main))
