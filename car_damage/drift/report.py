"""The result of a drift check as a page: what moved, by how much, and typical photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from car_damage import photos
from car_damage.data_uri import data_uri
from car_damage.drift import examples, words
from car_damage.drift.check import Result
from car_damage.drift.compare import Comparison
from car_damage.files import write_text
from car_damage.photos import UnusablePhoto
from car_damage.records.kept_photos import KeptPhotos, PhotosUnavailable
from car_damage.report import formats

SHOWN = 4  # photos of each kind
MOVED_WITH_PHOTOS = 3  # what moved most has photos
SIDE = 320  # pixels


class Group(NamedTuple):
    """Photos that show one thing, as data URIs."""

    title: str
    pictures: list[str]


def write_report(path: Path, result: Result, kept: KeptPhotos | None) -> None:
    """Write the page in one step. It contains photos if they are kept."""
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("car_damage.drift"), PackageLoader("car_damage.report")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(formats.FILTERS)
    environment.globals.update(words=words)
    page = environment.get_template("drift.html").render(
        result=result,
        rows=_rows(result),
        groups=[] if kept is None else _groups(result, kept),
        far=[] if kept is None else _far(result, kept),
        keeps_photos=kept is not None,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def _rows(result: Result) -> list[Comparison]:
    """The comparisons, the most different first; each number once."""
    best: dict[str, Comparison] = {}
    order = sorted(
        result.comparisons, key=lambda each: (-each.ratio, -each.difference / each.limit)
    )
    for each in order:
        best.setdefault(each.name, each)
    return list(best.values())


def _groups(result: Result, kept: KeptPhotos) -> list[Group]:
    if result.stored is None:
        return []
    baseline, groups = result.stored.baseline, []
    for moved in result.moved[:MOVED_WITH_PHOTOS]:
        pictures = _pictures(examples.typical(baseline, result.compared, moved), kept)
        groups.append(Group(words.title(moved.name), pictures))
    return groups


def _far(result: Result, kept: KeptPhotos) -> list[str]:
    if result.distance is None:
        return []
    return _pictures(examples.farthest(result.photos, result.distance.distances), kept)


def _pictures(sha256s: Sequence[str], kept: KeptPhotos) -> list[str]:
    """The first photos that can be read."""
    found: list[str] = []
    for sha256 in sha256s[: 5 * SHOWN]:
        if len(found) == SHOWN:
            break
        try:
            content = kept.read(sha256)
            if content is not None:
                photo = photos.shrink(photos.decode(content), SIDE)
                found.append(data_uri(photos.encode_jpeg(photo), "image/jpeg"))
        except (PhotosUnavailable, UnusablePhoto):
            continue
    return found
