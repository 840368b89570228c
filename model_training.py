"""Step 2: train, test and export a model.

    python model_training.py                                  # ResNet-50 from ImageNet weights
    python model_training.py --backbone mobilenetv2 --epochs 4
    python model_training.py --weights models/<version>/model.keras   # start from an earlier model
    python model_training.py --resume                         # plus the options of a killed run

Reads data/processed, which step 1 wrote, and writes models/<version>/. The new version becomes the
current one if it is surely as good as the version in use, on the same test photos.
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
TWICE_LEFT_OUT = (
    "--cross-sources already leaves out each source in turn. Remove --leave-out or --cross-sources."
)
TINY_EPOCHS = 30  # for the small network that starts from random values


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
    """Add the options for the folders, the backbone and its weights."""
    add = parser.add_argument_group("starting point").add_argument
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the data set (default: data/processed in the project, or "
        "data/sample/processed if there is no other)",
    )
    add(
        "--models",
        type=Path,
        metavar="DIR",
        help="folder for versions (default: models in the project, or models/sample for drawn "
        "cars)",
    )
    add(
        "--backbone",
        choices=BACKBONES,
        help=f"network to train (default: the one of --weights, otherwise {DEFAULT.name}; "
        f"{SAMPLE_DEFAULT.name} for drawn cars)",
    )
    add(
        "--weights",
        metavar="SOURCE",
        help="imagenet (downloaded once), none (random values), or a .keras, .h5, .weights.h5 or "
        ".npz file (default: imagenet; for drawn cars, the real model in use)",
    )
    add("--resume", action="store_true", help="continue a killed run after its last epoch")


def add_fine_tuning(parser: argparse.ArgumentParser) -> None:
    """Add the options for training."""
    add = parser.add_argument_group("training").add_argument
    stage = "first stage to fine-tune; an unknown name prints all names"
    add("--unfreeze", metavar="STAGE", help=f"{stage} (default: depends on the backbone)")
    add(
        "--epochs",
        type=whole_number(0, 1000),
        metavar="N",
        help=f"epochs of fine-tuning; 0 fits the head only (default: {EPOCHS})",
    )
    add(
        "--learning-rate",
        type=positive_number,
        metavar="RATE",
        help="peak learning rate of fine-tuning (default: depends on the backbone)",
    )
    add(
        "--keep",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="share of the earlier model's weights to mix into the new ones, so that the model "
        "stays good on photos unlike the new ones (default: %(default)s)",
    )
    add(
        "--soup",
        action="store_true",
        help="fine-tune a second model, without images that are made up from others, and average "
        "both: better on photos from new sources, and takes twice the time",
    )
    images = "images per batch (default: %(default)s)"
    add("--batch-size", type=whole_number(1, 1024), default=BATCH_SIZE, metavar="N", help=images)
    seed = "random seed (default: %(default)s)"
    add("--seed", type=whole_number(0, 2**32 - 1), default=0, metavar="N", help=seed)


def add_result(parser: argparse.ArgumentParser) -> None:
    """Add the options for testing, exporting and promoting the model."""
    add = parser.add_argument_group("testing, export and promotion").add_argument
    add(
        "--cross-sources",
        nargs="?",
        type=whole_number(2, 100),
        const=0,
        metavar="K",
        help="cross-source validation: first train K more models, each without some of the "
        "sources, then calibrate and measure on photos of these sources (default K: up to 6)",
    )
    add(
        "--leave-out",
        action="append",
        default=[],
        metavar="SOURCE",
        help="train without this source and test on its photos; may be repeated. Such a version "
        "never becomes the current one",
    )
    add(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="number format of model.tflite (default: %(default)s)",
    )
    add(
        "--promote",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether the new version becomes the current one; auto: if it is surely as good as "
        "the one in use (default: %(default)s)",
    )


def main(argv: list[str] | None = None) -> None:
    """Parse the options, then train."""
    train(build_parser().parse_args(argv))


def check(args: argparse.Namespace, sample: bool, photos: Sequence[Row]) -> None:
    """Check options, sources and weights before step 1 spends time on the photos.

    `sample`: whether the photos will be drawn cars. `photos`: the photos that already exist.
    Raises `UserError`.
    """
    costs_of(args)
    if args.leave_out and args.cross_sources is not None:
        raise UserError(TWICE_LEFT_OUT)
    if photos:
        check_held_out(args, photos)
    load_tensorflow()
    from car_damage.training.classifier import trainable_from

    with contextlib.redirect_stdout(io.StringIO()):  # step 2 prints it again
        start = choose_start(args, sample, models_folder(args, sample))
    check_unseen(args, start, photos)
    trainable_from(start.model, choose_settings(args, start).unfreeze)


def check_held_out(args: argparse.Namespace, photos: Sequence[Row]) -> None:
    """Raise `UserError` if the photos lack the sources that the options leave out."""
    from car_damage.evaluation.folds import check_folds
    from car_damage.evaluation.held_out_sources import check_sources

    check_sources(photos, args.leave_out)
    if args.cross_sources is not None:
        check_folds(photos, args.cross_sources or None)


def check_unseen(args: argparse.Namespace, start: "Start", photos: Sequence[Row]) -> None:
    """Raise `UserError` if the earlier model was trained on a photo that will be held out."""
    every_source = args.cross_sources is not None
    held_out = (photo for photo in photos if every_source or photo.source in args.leave_out)
    learnt = start.learnt or frozenset()
    if learnt and any(sha256_of(paths.located(photo.path)) in learnt for photo in held_out):
        raise learnt_before(start)


def learnt_before(start: "Start") -> UserError:
    """The error for holding out photos that the earlier model was trained on."""
    return UserError(
        f"{start.weights.source} was trained on photos of this data set, so --leave-out and "
        "--cross-sources cannot hold them out. Choose other --weights, such as imagenet."
    )


def train(args: argparse.Namespace) -> Path:
    """Train, test and export a model; return the folder of all versions.

    TensorFlow is imported here, so that a wrong option is refused without waiting for it.
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
    """Make a version of the trained model; print its metrics and whether it is now in use."""
    from car_damage.release import promotion, version
    from car_damage.report.page import write_report

    manifest, exported = version.release(trained, dataset, models, args.precision)
    print(version.table(manifest))
    rule = "never" if args.leave_out else args.promote
    print(promotion.promote(models, manifest.version, exported, dataset, rule, trained.costs))
    print(f"full report, with its mistakes: {write_report(models, manifest.version)}")


def load_tensorflow() -> None:
    """Load TensorFlow without its messages."""
    with without_chatter():
        import tensorflow as tf

        tf.config.list_physical_devices()  # this writes more messages


def models_folder(args: argparse.Namespace, sample: bool) -> Path:
    """The folder for versions."""
    return args.models or paths.shown(paths.SAMPLE_MODELS if sample else paths.MODELS)


def choose_start(args: argparse.Namespace, sample: bool, models: Path) -> "Start":
    """Load the model that training starts from.

    Raises `UserError`. If ImageNet weights cannot be downloaded, the message has the command that
    starts from the included model instead.
    """
    from car_damage.training.initial_weights import ImagenetUnavailable, starting_model

    try:
        return starting_model(args.backbone, args.weights, sample, models)
    except ImagenetUnavailable as error:
        raise UserError(f"{error} {without_network(args.backbone)}") from error


def without_network(backbone: str | None) -> str:
    """What to do without ImageNet weights: the user's command again, with a file for --weights."""
    included = sorted((paths.MODELS / model_store.PRETRAINED).glob(f"*/{model_store.KERAS_MODEL}"))
    if not included:
        return "Connect to the internet, or choose a file with --weights."
    weights = paths.shown(included[-1])
    more = ["--weights", str(weights)]
    if backbone and (manifest := manifest_beside(str(weights))) and manifest.backbone:
        more += ["--backbone", manifest.backbone]  # the last one counts
    return f"Connect to the internet, or start from the included model: {command_again(*more)}"


def note_size(weights: str | None, size: int) -> None:
    """Print how to make a data set with the image size of the earlier model."""
    manifest = manifest_beside(weights)
    if manifest and manifest.size != size:
        print(
            f"{weights} was trained on images of {manifest.size} px, but this data set has "
            f"{size} px. For the same size, run: python data_preprocessing.py --size "
            f"{manifest.size}"
        )


def choose_folds(args: argparse.Namespace, dataset: Dataset) -> list[tuple[str, ...]]:
    """The folds for `--cross-sources`, or none without this option."""
    from car_damage.evaluation.folds import deal_folds

    if args.cross_sources is None:
        return []
    if args.leave_out:
        raise UserError(TWICE_LEFT_OUT)
    rows = [row for name in SPLITS for row in getattr(dataset, name).rows]
    return deal_folds(rows, args.cross_sources or None)


def check_learnt(start: "Start", moved: dict[str, int], leaves_out: bool) -> None:
    """Print how many photos of the data set the earlier model was trained on.

    Raises `UserError` if there are any and sources are left out.
    """
    if moved and leaves_out:
        raise learnt_before(start)
    if start.learnt is None:
        print(
            f"it is unknown which photos {start.weights.source} was trained on. If this data set "
            "contains some of them, the metrics will be too good."
        )
    elif moved:
        print(
            f"{start.weights.source} was trained on photos of this data set, so "
            f"{moved['val']} validation and {moved['test']} test photos move to training"
        )


def choose_settings(args: argparse.Namespace, start: "Start") -> TrainingSettings:
    """The training settings: the user's options, and defaults that suit the backbone.

    Raises `UserError` for `--keep` without an earlier model to mix with.
    """
    if args.keep and not start.goes_on:
        raise UserError(
            "--keep mixes in the weights of an earlier model, and there is none. "
            "Choose its model.keras with --weights."
        )
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
        soup=args.soup,
        leave_out=tuple(args.leave_out),
    )


def default_data_set() -> Path:
    """The project's data set of real photos, or that of drawn cars if it is the only one."""
    real, sample = paths.shown(paths.PROCESSED), paths.shown(paths.SAMPLE_PROCESSED)
    if (real / CONFIG).exists() or not (sample / CONFIG).exists():
        return real
    print(f"no data set in {real}: using the drawn cars in {sample}")
    return sample


if __name__ == "__main__":
    sys.exit(exit_code(main))
