"""Compare engines that could run the graph.

    python benchmarks/engines.py --short            # the included model, about 2 minutes
    python benchmarks/engines.py                    # and ResNet-50, about 15 minutes
    python benchmarks/engines.py --data data/processed --resnet50 models/<version>/model.keras

The first run installs ONNX Runtime and OpenVINO into an environment of their own. Every engine gets
the same network with the same three outputs, and runs in its own process. The processes take turns,
so that a busy moment of the machine does not hit one engine alone. On a busy machine, the fastest
photo says more than the median. int8 is calibrated with the same photos everywhere. Linux only.

`--data` is a data set: its test photos are compared, and its training photos calibrate int8.
Without it, cars are drawn. Without `--resnet50`, ResNet-50 has random weights: its speed is right,
but its agreement with Keras would mean nothing, so the table leaves it out.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environments import python_with
from benchmarks.headlines import Headline, print_headlines
from car_damage import model_store, paths
from car_damage.chatter import without_chatter
from car_damage.photos import SIZE, fit
from car_damage.release.precisions import PRECISIONS
from car_damage.training.earlier_model import manifest_beside

THREADS = (1, 2)
CALIBRATION = 200  # photos, as in `car_damage/release/export.py`


class Effort(NamedTuple):
    """How much is measured: rounds, photos of each engine in a round, and drawn photos."""

    rounds: int
    photos: int
    drawn: int


FULL, SHORT = Effort(10, 30, 200), Effort(3, 15, 40)


class Contestant(NamedTuple):
    """An engine with a graph. `project`: whether the project's own environment runs it."""

    label: str
    engine: str  # as in `engine_process.ENGINES`
    graph: str  # a file in the folder of graphs
    project: bool


CONTESTANTS = (
    Contestant("Keras, `predict`", "keras-predict", "model.keras", True),
    Contestant("Keras, compiled function", "keras-function", "model.keras", True),
    *(Contestant(f"LiteRT {name}", "litert", f"{name}.tflite", True) for name in PRECISIONS[::-1]),
    Contestant("ONNX Runtime float32", "onnxruntime", "float32.onnx", False),
    Contestant("OpenVINO float32", "openvino", "float32.xml", False),
    Contestant("OpenVINO bfloat16", "openvino-bf16", "float32.xml", False),
    Contestant("OpenVINO int8", "openvino", "int8.xml", False),
)


@dataclass
class Measured:
    """What was measured of one contestant."""

    starts: list[float] = field(default_factory=list)  # seconds, from nothing to 20 answers
    memory: dict[str, float] = field(default_factory=dict)  # as `engine_process.py` reports it
    # the milliseconds of each round's photos, by the number of threads
    rounds: dict[int, list[list[float]]] = field(default_factory=dict)
    logits: np.ndarray = field(default_factory=lambda: np.empty(0))


def included_model() -> Path:
    """The included model's `model.keras`."""
    folder = paths.MODELS / model_store.PRETRAINED
    return max(folder.glob(f"*/{model_store.KERAS_MODEL}"))


def write_photos(folder: Path, data: Path | None, drawn: int) -> None:
    """Write `photos.npy` and `calibration.npy`, `uint8` (n, 224, 224, 3)."""
    if data is None:
        from car_damage.dataset.sample import draw_car

        generators = map(np.random.default_rng, range(2 * drawn))
        cars = [fit(draw_car(rng, bool(n % 2))[0], SIZE) for n, rng in enumerate(generators)]
        calibration, photos = np.array(cars[:drawn]), np.array(cars[drawn:])
    else:
        from car_damage.dataset.arrays import load

        dataset = load(data)
        rows = np.random.default_rng(0).permutation(len(dataset.train.y))[:CALIBRATION]
        calibration = np.asarray(dataset.train.X[np.sort(rows)])
        photos = np.asarray(dataset.test.X[dataset.test.of_kind("photo")])
    np.save(folder / "calibration.npy", calibration)
    np.save(folder / "photos.npy", photos)


def write_graphs(folder: Path, keras_file: Path | None) -> None:
    """Write the graph of a model in all formats. Without a file: ResNet-50, random weights."""
    with without_chatter():
        import keras

        from car_damage.release import tflite
        from car_damage.training.backbones import RESNET50
        from car_damage.training.classifier import build

        model = (
            keras.saving.load_model(keras_file, compile=False) if keras_file else build(RESNET50)
        )
        model = tflite.in_float32(model)
        model.save(folder / "model.keras")
        with tflite.quiet():
            tflite.save(tflite.serving_model(model, SIZE), str(folder / "saved"))
    other = convert_for_others(folder)
    calibration = np.load(folder / "calibration.npy")
    for precision in PRECISIONS:
        graph = tflite.to_tflite(model, SIZE, precision, calibration)
        (folder / f"{precision}.tflite").write_bytes(graph)
    output, _ = other.communicate()
    if other.returncode:
        sys.exit(f"the conversion for the other engines failed:\n{output}")


def convert_for_others(folder: Path) -> subprocess.Popen[str]:
    """Start the conversion for the engines of the other environment."""
    command = [python_with("engines"), paths.ROOT / "benchmarks" / "engine_files.py", folder]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


class Process:
    """A running `engine_process.py`, which is ready for `ask`."""

    def __init__(self, contestant: Contestant, folder: Path, threads: int):
        python = sys.executable if contestant.project else python_with("engines")
        script = paths.ROOT / "benchmarks" / "engine_process.py"
        graph, photos = folder / contestant.graph, folder / "photos.npy"
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [python, script, contestant.engine, graph, str(threads), photos],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self.memory = self._answer()
        self.start = time.perf_counter() - begun

    def ask(self, what: str) -> list[float]:
        """Send a line and return the answer."""
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        """Close its stdin, and wait until it has ended."""
        self._process.communicate()

    def _answer(self):
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def running(folder: Path, threads: int) -> Iterator[dict[Contestant, Process]]:
    """Start a process for each contestant, one after the other."""
    with ExitStack() as stack:
        processes = {}
        for contestant in CONTESTANTS:
            processes[contestant] = Process(contestant, folder, threads)
            stack.callback(processes[contestant].end)
        yield processes


def measure(folder: Path, effort: Effort) -> dict[Contestant, Measured]:
    """Measure every contestant with one and with two threads."""
    results = {contestant: Measured() for contestant in CONTESTANTS}
    for threads in THREADS:
        with running(folder, threads) as processes:
            for contestant, process in processes.items():
                results[contestant].starts.append(process.start)
                results[contestant].rounds[threads] = []
                if threads == 1:
                    results[contestant].memory = process.memory
                    results[contestant].logits = np.array(process.ask("logits"))
            for _ in range(effort.rounds):
                for contestant, process in processes.items():
                    results[contestant].rounds[threads].append(process.ask(str(effort.photos)))
    return results


def table(results: dict[Contestant, Measured], shipped: str, meaningful: bool) -> str:
    """The results in Markdown. `shipped`: the label of what serves now. `meaningful`: logits."""
    own = next(measured for each, measured in results.items() if each.label == shipped)
    keras = results[CONTESTANTS[0]].logits
    heads = ["", *(f"ms, {count} thread{'s'[: count - 1]}" for count in THREADS)]
    heads += [
        "times as fast as now",
        "fastest photo, ms",
        "ready, s",
        "memory, peak, MB",
        "package, MB",
        "logit differs",
    ]
    lines = [heads, ["---"] * len(heads)]
    for contestant, measured in results.items():
        label = contestant.label
        ratios = (paired_ratio(own.rounds[count], measured.rounds[count]) for count in THREADS)
        memory = measured.memory
        differences = np.abs(measured.logits - keras)
        lines.append(
            [
                f"**{label}**" if label == shipped else label,
                *(spread(measured.rounds[count]) for count in THREADS),
                ", ".join(f"{ratio:.2f}" for ratio in ratios),
                ", ".join(f"{min(map(min, measured.rounds[count])):.2f}" for count in THREADS),
                f"{min(measured.starts):.1f}",
                f"{memory['resident_mb']:.0f}, {memory['peak_mb']:.0f}",
                f"{memory['installed_mb']:,.0f}",
                f"{differences.max():.3f}, {differences.mean():.3f}" if meaningful else "-",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def headline(name: str, results: dict[Contestant, Measured], shipped: str) -> Headline:
    """Compare what serves now with the fastest other engine, with one thread."""
    medians = {
        each.label: statistics.median(map(statistics.median, measured.rounds[1]))
        for each, measured in results.items()
    }
    own = medians.pop(shipped)
    fastest = min(medians, key=medians.__getitem__)
    other = f"{fastest} {medians[fastest]:.2f}"
    return Headline(name, f"{shipped} {own:.2f} ms", other, own / medians[fastest], "below 1.5")


def paired_ratio(own: list[list[float]], other: list[list[float]]) -> float:
    """The median over the rounds of how many times as fast the other is."""
    pairs = zip(map(statistics.median, own), map(statistics.median, other), strict=True)
    return statistics.median(a / b for a, b in pairs)


def spread(rounds: list[list[float]]) -> str:
    """The median of the rounds' medians with the fastest and the slowest of them."""
    medians = [statistics.median(times) for times in rounds]
    return f"{statistics.median(medians):.2f} ({min(medians):.2f} to {max(medians):.2f})"


def compare(name: str, keras_file: Path | None, data: Path | None, effort: Effort) -> Headline:
    """Print the table of one network."""
    manifest = manifest_beside(str(keras_file)) if keras_file else None
    precision = manifest.precision if manifest else PRECISIONS[0]
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), data, effort.drawn)
        write_graphs(Path(folder), keras_file)
        results = measure(Path(folder), effort)
    print(f"\n{name}; the logits of {len(results[CONTESTANTS[0]].logits)} photos\n")
    shipped = f"LiteRT {precision}"
    print(table(results, shipped, keras_file is not None), flush=True)
    return headline(f"the graph of {name}", results, shipped)


def main() -> None:
    """Parse the options, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="the included model only, few rounds")
    parser.add_argument("--data", type=Path, metavar="DIR", help="photos of this data set")
    parser.add_argument(
        "--resnet50", type=Path, metavar="FILE", help="a trained ResNet-50's model.keras"
    )
    args = parser.parse_args()
    python_with("engines")
    effort = SHORT if args.short else FULL
    headlines = [compare("the included model", included_model(), args.data, effort)]
    if not args.short:
        headlines.append(compare("ResNet-50", args.resnet50, args.data, effort))
    print_headlines(headlines)


if __name__ == "__main__":
    main()
