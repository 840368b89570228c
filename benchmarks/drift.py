"""Measure how often drift_check.py alarms for nothing, and which changes of photos it notices.

    python benchmarks/drift.py PHOTO_FOLDER... [--close-ups SOURCE...]    # 15 minutes
        [--new SOURCE --new-graph GRAPH] [--cache DIR]

The folders are those of `--raw-dir`: photos in damaged/ and not-damaged/, below them a folder for
each source. The photos of a service are drawn in runs of 24 neighbours of one source, sources by
their number of photos, with replacement. The first 2,000 are the baseline. Each day brings 1,000.

- False alarms: 365 days with photos of the same sources, for several baselines.
- Changes: 200 photos, drawn in the same way, that are darker, blurred, recompressed, or close-ups.
- A new source: photos of SOURCE, with a baseline of the other sources. GRAPH is the `model.tflite`
  of a model that was trained without it.

The sources in `CHOSEN_ON`, for choosing limits, and the others are measured apart. docs/drift.md
says how far they were kept apart.
`--close-ups` names sources of real close-ups, which come instead of whole cars.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.drift_photos import CHANGES, UNCHANGED, Answers, answers_to, rows_of
from car_damage import model_store
from car_damage.decision import Decision
from car_damage.drift.baseline import PHOTOS, Baseline
from car_damage.drift.compare import Comparison, compare
from car_damage.drift.features import Photos, log_odds
from car_damage.errors import exit_code
from car_damage.options import add_model, whole_number

CHOSEN_ON = ("kaggle", "dealers-uk", "vds", "panels-kr", "carshare-tw", "roads-in", "fronts-bd")
RUN = 24  # neighbouring photos, as in dataset/sources.py
DAYS, A_DAY = 365, 1000
SOON = 200  # photos after which a change should be noticed


def photos_of(answers: Answers, decision: Decision) -> Photos:
    """The numbers that the service would have recorded."""
    logit, brightness, sharpness, width, height, size, unfamiliar = answers.numbers.T
    probability = decision.probabilities(logit)
    pixels = width * height
    measured = (log_odds(probability), brightness, sharpness, pixels / 1e6, width / height)
    said = (decision.is_damaged(probability), decision.needs_review(probability), unfamiliar)
    return Photos(
        np.column_stack([*measured, 8 * size / pixels]),
        np.column_stack(said).astype(float),
        answers.embeddings.astype(np.float32),
    )


class Service:
    """Draws photos as a service gets them."""

    def __init__(self, sources: np.ndarray, wanted: Sequence[str], random: np.random.Generator):
        self._members = [np.flatnonzero(sources == source) for source in wanted]
        sizes = np.array([len(members) for members in self._members], float)
        self._weights, self._random = sizes / sizes.sum(), random

    def next(self, count: int) -> np.ndarray:
        """The numbers of the next photos, int64 (count,)."""
        drawn: list[int] = []
        while len(drawn) < count:
            members = self._members[self._random.choice(len(self._members), p=self._weights)]
            begin = self._random.integers(len(members))
            drawn += members[(begin + np.arange(min(RUN, len(members)))) % len(members)].tolist()
        return np.array(drawn[:count])


def causes(found: Sequence[Comparison]) -> set[str]:
    """What makes an alarm."""
    return {each.name for each in found if each.is_drift}


def false_alarms(photos: Photos, service: Service, years: int) -> list[int]:
    """The number of alarms in each year, each with a new baseline."""
    found = []
    for year in range(years):
        earlier = photos.part(service.next(PHOTOS))
        baseline = Baseline.of(earlier)
        days = [
            causes(compare(baseline, photos.part(service.next(A_DAY)), earlier))
            for _ in range(DAYS)
        ]
        found.append(sum(map(bool, days)))
        print(f"    year {year + 1}: {found[-1]} false alarms {[*filter(None, days)]}", flush=True)
    return found


def noticed(
    photos: Photos, service: Service, changed: Photos, after: Service, trials: int
) -> tuple[int, Counter[str]]:
    """In how many trials the first `SOON` changed photos alarm, and because of what."""
    count, why = 0, Counter[str]()
    for trial in range(trials):
        if trial % 10 == 0:
            baseline = Baseline.of(photos.part(service.next(PHOTOS)))
        found = causes(compare(baseline, changed.part(after.next(SOON))))
        count += bool(found)
        why.update(found)
    return count, why


def report(title: str, trials: int, result: tuple[int, Counter[str]]) -> None:
    """Print a line with the most frequent causes."""
    count, why = result
    often = ", ".join(f"{name} {number}" for name, number in why.most_common(4))
    print(f"    {title}: {count} of {trials} ({often})", flush=True)


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="PHOTO_FOLDER")
    add("--close-ups", nargs="*", default=(), metavar="SOURCE", help="sources of real close-ups")
    add("--new", metavar="SOURCE", help="a source that comes new")
    add("--new-graph", type=Path, metavar="GRAPH", help="model.tflite trained without SOURCE")
    add("--most", type=whole_number(100, 10**6), default=600, help="photos of each source")
    add("--years", type=whole_number(1, 1000), default=5)
    add("--trials", type=whole_number(10, 10_000), default=100)
    add("--cache", type=Path, metavar="DIR", help="where to keep the version's answers")
    add_model(parser)
    return parser


def main() -> None:
    """Parse the options, answer the photos, then measure."""
    args = build_parser().parse_args()
    record = model_store.load_record(args.models, args.model)
    decision, rows = record.manifest.decision, rows_of(args.folders, args.most)
    answers = {
        kind: answers_to(rows, record.graph, record.manifest, kind, args.cache)
        for kind in (UNCHANGED, *CHANGES)
    }
    sources = answers[UNCHANGED].sources
    photos = {kind: photos_of(found, decision) for kind, found in answers.items()}
    names = sorted(set(sources.tolist()))
    parts = {
        "all sources": names,
        "sources that the thresholds were chosen on": [n for n in names if n in CHOSEN_ON],
        "other sources": [n for n in names if n not in CHOSEN_ON],
    }
    begun = time.monotonic()
    for title, part in parts.items():
        print(f"{title}: {', '.join(part)}")
        measure(photos, sources, part, args)
        print(f"    {time.monotonic() - begun:.0f} s", flush=True)
    if args.new and args.new_graph:
        cache = args.cache and args.cache / f"without-{args.new}"
        found = answers_to(rows, args.new_graph, record.manifest, UNCHANGED, cache)
        unseen = photos_of(found, decision)
        random = np.random.default_rng(0)
        before = Service(sources, [name for name in names if name != args.new], random)
        new = Service(sources, [args.new], random)
        result = noticed(unseen, before, unseen, new, args.trials)
        report(f"{args.new}, new", args.trials, result)


def measure(
    photos: dict[str, Photos], sources: np.ndarray, part: Sequence[str], args: argparse.Namespace
) -> None:
    """Measure false alarms and changes on some sources."""
    random = np.random.default_rng(0)
    service = Service(sources, part, random)
    whole = [name for name in part if name not in args.close_ups]
    for kind in CHANGES:
        of_whole_cars = Service(sources, whole, random) if kind == "cropped" else service
        result = noticed(
            *(photos[UNCHANGED], of_whole_cars, photos[kind], of_whole_cars, args.trials)
        )
        report(kind, args.trials, result)
    if close := [name for name in part if name in args.close_ups]:
        before, after = Service(sources, whole, random), Service(sources, close, random)
        unchanged = photos[UNCHANGED]
        result = noticed(unchanged, before, unchanged, after, args.trials)
        report("real close-ups instead of whole cars", args.trials, result)
    false_alarms(photos[UNCHANGED], service, args.years)


if __name__ == "__main__":
    sys.exit(exit_code(main))
