"""Measure how soon training reaches 90 % validation accuracy, compared with the textbook loop.

    python benchmarks/training.py                   # data/processed and Keras's ImageNet weights
    python benchmarks/training.py --data DIR --mobilenetv2 FILE --resnet50 FILE
    python benchmarks/training.py --short           # drawn cars, one seed, about 2 minutes

The textbook loop is that of Keras's guide to transfer learning: a frozen ResNet-50 with ImageNet
weights, a new head, `model.fit` on arrays in memory, then fine-tuning of the last stage at a small
rate. This pipeline uses its defaults, with MobileNetV2 and with ResNet-50: first the head, then six
epochs. Everyone trains on the photos of the training split and is validated on the photos of the
validation split; this pipeline also uses its close-ups, crops of undamaged photos, for training.

Each run has its own process and stops once it has reached 90 %. The time starts after the imports.
For the textbook loop it starts even later, once its arrays are in memory. The time that the process
had on a processor is also given, because other programs disturb it less.

`--short` starts from the included model and, without `--resnet50`, from a ResNet-50 with random
weights. It shows that everything runs; its times mean little.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import model_training
from benchmarks.headlines import Headline, print_headlines
from car_damage import model_store, paths
from car_damage.dataset.arrays import Dataset, load
from car_damage.errors import UserError, exit_code
from car_damage.training.backbones import MOBILENETV2, RESNET50
from car_damage.training.checkpoints import Run

GOAL = 0.9
SEEDS = 3
FROZEN_EPOCHS, FINE_TUNING_EPOCHS = 10, 10  # of the textbook loop
SHORT_EPOCHS = 2  # of each of its phases
FINE_TUNING_RATE = 1e-5
DROPOUT = 0.2
DRAWN = 60  # cars of each class with --short
DRAWN_SIZE = 96  # pixels
TEXTBOOK = "textbook"
CONTESTANTS = {  # the name on the command line and in the table
    TEXTBOOK: "the textbook loop, ResNet-50",
    MOBILENETV2.name: "this pipeline, MobileNetV2",
    RESNET50.name: "this pipeline, ResNet-50",
}


@dataclass(frozen=True)
class Mark:
    """What was reached when: seconds since the start, on the clock and on processors."""

    after: str
    accuracy: float
    seconds: float
    processor: float


class Clock:
    """Collects marks and prints each one to stderr."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self._begun = time.perf_counter(), time.process_time()

    def mark(self, after: str, accuracy: float) -> bool:
        """Note the accuracy on the validation photos. Returns whether the goal is reached."""
        now = time.perf_counter(), time.process_time()
        seconds, processor = (end - begun for end, begun in zip(now, self._begun, strict=True))
        self.marks.append(Mark(after, accuracy, seconds, processor))
        times = f"{seconds:.0f} s, {processor:.0f} s of processor time"
        print(f"  {after}: {accuracy:.1%} after {times}", file=sys.stderr, flush=True)
        return self.reached

    @property
    def reached(self) -> bool:
        """Whether the last accuracy is at least the goal."""
        return self.marks[-1].accuracy >= GOAL


class TimedRun(Run):
    """A run that marks each epoch, and stops once the goal is reached."""

    clock: Clock

    def save(self, model, row):
        """Save a finished epoch, then mark its accuracy with the averaged weights."""
        super().save(model, row)
        model.stop_training = self.clock.mark(f"epoch {row['epoch']:.0f}", row["val_accuracy"])


def pipeline(dataset: Dataset, backbone: str, weights: str, seed: int) -> Clock:
    """Train like `model_training.py` with its defaults."""
    from car_damage.training import fine_tune, hardware, phases
    from car_damage.training.classifier import predicted_logits
    from car_damage.training.initial_weights import starting_model

    clock = Clock()
    hardware.set_up(seed)
    start = starting_model(backbone, weights, dataset.config.sample, paths.MODELS)
    args = model_training.build_parser().parse_args(["--seed", str(seed)])
    settings = model_training.choose_settings(args, start)
    with tempfile.TemporaryDirectory() as folder:
        head_alone = settings.model_copy(update={"epochs": 0})
        phases.train(
            start, dataset, Run(Path(folder), start, head_alone, dataset.config), resume=False
        )
        is_damaged = predicted_logits(start.model, dataset.val) > 0
        if not clock.mark("the head", float(np.mean(is_damaged == dataset.val.y))):
            run = TimedRun(Path(folder), start, settings, dataset.config)
            run.clock = clock
            run.start()
            fine_tune.fine_tune(start.model, dataset, run, resume=False)
    return clock


def textbook(dataset: Dataset, weights: str, seed: int, epochs: tuple[int, int]) -> Clock:
    """Train a head on a frozen ResNet-50, then fine-tune its last stage."""
    import keras

    keras.utils.set_random_seed(seed)
    train, val = textbook_arrays(dataset)
    clock = Clock()

    def mark(epoch: int, logs: dict[str, float]) -> None:
        after = f"epoch {len(clock.marks) + 1}"
        model.stop_training = clock.mark(after, logs["val_binary_accuracy"])

    def fit(rate: float, count: int) -> None:
        model.compile(
            keras.optimizers.Adam(rate),
            keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
        )
        callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=mark)]
        model.fit(*train, epochs=count, validation_data=val, callbacks=callbacks, verbose=0)

    base, model = textbook_model(dataset.config.size, weights)
    fit(rate=1e-3, count=epochs[0])  # Adam's default
    if not clock.reached:
        for layer in base.layers:
            norm = isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = layer.name.startswith(RESNET50.stages["conv5"]) and not norm
        fit(FINE_TUNING_RATE, count=epochs[1])
    return clock


def textbook_arrays(dataset: Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and labels of training and validation, float32, ready for `model.fit`."""
    import keras

    pairs = []
    for split in (dataset.train, dataset.val):
        photos = split.of_kind("photo")
        images = np.asarray(split.X[photos], np.float32)
        images = keras.applications.resnet50.preprocess_input(images)
        pairs.append((images, split.y[photos].astype(np.float32)[:, None]))
    return pairs


def textbook_model(size: int, weights: str):
    """A frozen ResNet-50, and the classifier on it with dropout."""
    import keras

    from car_damage.training import initial_weights

    base = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(size, size, 3), name=RESNET50.name
    )
    initial_weights.load(base, weights)
    for layer in base.layers:
        layer.trainable = False
    image = keras.Input((size, size, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base(image, training=False))
    logit = keras.layers.Dense(1)(keras.layers.Dropout(DROPOUT)(pooled))
    return base, keras.Model(image, logit)


def without_val_close_ups(dataset: Dataset) -> Dataset:
    """The data set with only photos in validation, so that everyone is validated on the same."""
    photos = dataset.val.of_kind("photo")
    val = replace(
        dataset.val,
        stored=dataset.val.stored[photos],
        y=dataset.val.y[photos],
        rows=[row for row in dataset.val.rows if row.kind == "photo"],
    )
    return replace(dataset, val=val)


def work(args: argparse.Namespace) -> None:
    """Train in this process, and print the marks as the last line."""
    model_training.load_tensorflow()
    dataset = without_val_close_ups(load(args.data))
    if args.work == TEXTBOOK:
        short = (SHORT_EPOCHS, SHORT_EPOCHS)
        epochs = short if args.short else (FROZEN_EPOCHS, FINE_TUNING_EPOCHS)
        clock = textbook(dataset, args.resnet50, args.seed, epochs)
    else:
        clock = pipeline(dataset, args.work, getattr(args, args.work), args.seed)
    print(json.dumps([asdict(mark) for mark in clock.marks]))


def run(args: argparse.Namespace, name: str, seed: int) -> list[Mark]:
    """Train in a process of its own."""
    command = [sys.executable, __file__, "--work", name, "--seed", str(seed)]
    command += ["--data", args.data, "--mobilenetv2", args.mobilenetv2]
    command += ["--resnet50", args.resnet50, *(["--short"] if args.short else [])]
    print(f"{CONTESTANTS[name]}, seed {seed}", file=sys.stderr)
    result = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8")
    if result.returncode:
        raise UserError(f"{CONTESTANTS[name]} failed. The reason is above.")
    return [Mark(**mark) for mark in json.loads(result.stdout.splitlines()[-1])]


def rows(results: dict[str, list[list[Mark]]]) -> list[list[str]]:
    """The table: for each contestant the median time, its range, and the ratio per seed."""
    table = [["", "reached 90 %", "after", "seconds", "times as soon"]]
    table[0] += ["processor time, s", "ratio of processor times"]
    table.append(["---"] * len(table[0]))
    baseline = [marks[-1] for marks in results[TEXTBOOK]]
    for name, of_seeds in results.items():
        ends = [marks[-1] for marks in of_seeds]
        table.append(
            [
                CONTESTANTS[name],
                f"{sum(end.accuracy >= GOAL for end in ends)} of {len(ends)}",
                ", ".join(sorted({end.after for end in ends})),
                spread([end.seconds for end in ends], ".0f"),
                ratio(baseline, ends, "seconds"),
                spread([end.processor for end in ends], ".0f"),
                ratio(baseline, ends, "processor"),
            ]
        )
    return table


def ratio(baseline: list[Mark], ends: list[Mark], clock: str) -> str:
    """How many times as soon the goal was reached, seed by seed; nothing if someone did not."""
    if any(mark.accuracy < GOAL for mark in [*baseline, *ends]):
        return "-"
    pairs = zip(baseline, ends, strict=True)
    return spread([getattr(slow, clock) / getattr(end, clock) for slow, end in pairs], ".1f")


def headlines(results: dict[str, list[list[Mark]]]) -> list[Headline]:
    """Compare the processor time of this pipeline and of the textbook loop. Nobody may fail."""
    ends = {name: [marks[-1] for marks in of_seeds] for name, of_seeds in results.items()}
    if any(mark.accuracy < GOAL for marks in ends.values() for mark in marks):
        return []
    medians = {
        name: statistics.median(mark.processor for mark in marks) for name, marks in ends.items()
    }
    slow = medians.pop(TEXTBOOK)
    return [
        Headline(
            f"training to {GOAL:.0%}, {CONTESTANTS[name]}",
            f"{own:.0f} s of processor time",
            f"{CONTESTANTS[TEXTBOOK]} {slow:.0f}",
            slow / own,
            "3",
        )
        for name, own in medians.items()
    ]


def spread(values: list[float], digits: str) -> str:
    """The median with the smallest and the largest value."""
    median = format(statistics.median(values), digits)
    if len(values) == 1:
        return median
    return f"{median} ({min(values):{digits}} to {max(values):{digits}})"


def draw_data_set(folder: Path) -> Path:
    """Draw a few cars and run step 1 on them; return the data set."""
    from car_damage.dataset.sample import write_sample_photos

    write_sample_photos(folder / "raw", DRAWN)
    command = [sys.executable, paths.ROOT / "data_preprocessing.py", "--size", str(DRAWN_SIZE)]
    command += ["--raw-dir", folder / "raw", "--out", folder / "processed"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "processed"


def compare(args: argparse.Namespace) -> None:
    """Train everyone with each seed in turn, and print the table."""
    names = [TEXTBOOK, MOBILENETV2.name] if args.short else list(CONTESTANTS)
    results: dict[str, list[list[Mark]]] = {name: [] for name in names}
    for seed in range(args.seeds):
        for name in names:
            results[name].append(run(args, name, seed))
    print()
    for line in rows(results):
        print(f"| {' | '.join(line)} |")
    print_headlines(headlines(results))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", default=paths.PROCESSED)
    weights = "ImageNet weights as for model_training.py --weights (default: %(default)s)"
    add("--mobilenetv2", metavar="FILE", default="imagenet", help=weights)
    add("--resnet50", metavar="FILE", default="imagenet", help=weights)
    add("--seeds", type=int, default=SEEDS, help="number of runs (default: %(default)s)")
    add("--short", action="store_true", help="drawn cars and one seed")
    add("--work", choices=CONTESTANTS, help=argparse.SUPPRESS)
    add("--seed", type=int, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Parse the options, then train."""
    args = build_parser().parse_args()
    if args.work:
        work(args)
    elif args.short:
        if args.resnet50 == "imagenet":
            args.resnet50 = "none"
        included = (paths.MODELS / model_store.PRETRAINED).glob(f"*/{model_store.KERAS_MODEL}")
        args.mobilenetv2, args.seeds = str(max(included)), 1
        with tempfile.TemporaryDirectory() as folder:
            args.data = draw_data_set(Path(folder))
            compare(args)
    else:
        compare(args)


if __name__ == "__main__":
    sys.exit(exit_code(main))
