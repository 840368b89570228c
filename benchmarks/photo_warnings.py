"""Measure how often a version warns, on unseen photos of cars and on pictures without a car.

    python benchmarks/photo_warnings.py PHOTO_FOLDER...                    # the current version
    python benchmarks/photo_warnings.py PHOTO_FOLDER... --model VERSION    # another one

The version must not have been trained on these photos. The pictures without a car are those of
`tests/no_cars.py`, by kind. `unfamiliar` should be rare in the first line and frequent below it.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parents[1]))

from car_damage import model_store, paths, photos
from car_damage.batch.sources import photo_names
from car_damage.errors import exit_code
from car_damage.parallel import map_in_order, per_thread
from car_damage.photo_warnings import WarningWord
from car_damage.predictor import Predictor
from tests import no_cars

WORDS = get_args(WarningWord)
Warned = tuple[WarningWord, ...]


def line(title: str, warned: Iterable[Warned]) -> str:
    """Return a line of the table: the share of photos with each warning, and with any."""
    found = list(warned)
    shares = [sum(word in words for words in found) / len(found) for word in WORDS]
    shares.append(sum(map(bool, found)) / len(found))
    return f"{title:10}{len(found):7}" + "".join(f"{share:16.1%}" for share in shares)


def main() -> None:
    """Parse the options, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="PHOTO_FOLDER")
    parser.add_argument("--model", metavar="VERSION", help="default: the current version")
    parser.add_argument("--models", type=Path, default=paths.MODELS, metavar="DIR")
    args = parser.parse_args()

    record = model_store.load_record(args.models, args.model)
    predictor = per_thread(lambda: Predictor(record))

    def warnings_of(photo: photos.Photo) -> Warned:
        return predictor().predict(photo).warnings

    size = record.manifest.size
    names = photo_names([str(folder) for folder in args.folders])
    cars = (photos.decode(Path(name).read_bytes(), at_least=size) for name in names)
    print(f"{'':10}{'photos':>7}" + "".join(f"{word:>16}" for word in (*WORDS, "any")))
    print(line("cars", map_in_order(warnings_of, cars)))
    kinds = no_cars.kinds()
    of_kinds = {kind: list(map_in_order(warnings_of, kinds[kind])) for kind in kinds}
    for kind, warned in of_kinds.items():
        print(line(kind, warned))
    print(line("no car", [words for warned in of_kinds.values() for words in warned]))


if __name__ == "__main__":
    sys.exit(exit_code(main))
