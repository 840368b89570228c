"""Find photos in folders, lists and buckets. Their names are never all in memory.

The order is the same in each run. A folder is read in the order of its names, and S3 lists its
objects in that order, 1,000 at a time. Other folders and buckets list one folder at a time.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from car_damage import heatmap
from car_damage.buckets import check_protocol, is_url, opened, unreachable
from car_damage.errors import UserError
from car_damage.folders import files_below, is_litter, why_skipped
from car_damage.photos import SUFFIXES
from car_damage.wording import not_looked_at

STDIN = "-"


def photo_names(
    places: Sequence[str],
    lists: Sequence[str] = (),
    skipped: Counter[str] | None = None,
    results: Path | None = None,
) -> Iterator[str]:
    """Yield the path or URL of each photo in `places` (photos, folders, URLs), then in `lists`.

    A file that is in two local places is yielded once; URLs and `lists` are yielded as they are.
    Files that are not photos are counted in `skipped` by reason, with the keys of
    `wording.not_looked_at`, except `results`. Raises `UserError`, for local places before the
    first photo.
    """
    for place in places:
        _check(place)
    skipped = Counter() if skipped is None else skipped
    seen: set[Path] = set()  # places, not photos
    for place in places:
        below: Counter[str] = Counter()
        if is_url(place):
            found: Iterable[str | None] = _in_url(place, below)
        else:
            found = _in_path(Path(place), seen, below, results)
        yield from _not_none(found, place, below)
        seen.add(Path(place))
        skipped += below
    for file in lists:
        yield from _not_none(_in_list(file), f"--list {file}", Counter())


def _check(place: str) -> None:
    if is_url(place):
        check_protocol(place, place)
    elif not Path(place).exists():
        raise UserError(f"There is no photo or folder {place}. Check its name.")


def _not_none(found: Iterable[str | None], place: str, skipped: Counter[str]) -> Iterator[str]:
    """Yield the names, without the None of photos that came before. Raises `UserError` if empty."""
    is_empty = True
    for name in found:
        is_empty = False
        if name is not None:
            yield name
    if is_empty:
        line = not_looked_at(skipped)
        found_instead = f" ({line})" if line else ""
        raise UserError(f"No photos in {place}{found_instead}. Choose a folder with photos.")


def _in_path(
    place: Path, seen: set[Path], skipped: Counter[str], results: Path | None
) -> Iterator[str | None]:
    """The photo, or a folder's photos; None for one that is also in a place of `seen`."""
    if not place.is_dir():
        came = place in seen or (_is_below(place, seen) and _would_be_found(place))
        yield None if came else str(place)
        return
    for path in files_below(place):
        came = path in seen or _is_below(path, seen)
        if reason := why_skipped(path):
            is_results = results is not None and path.resolve() == results.resolve()
            if not came and not is_results:
                skipped[reason] += 1
        elif not heatmap.is_drawn(path):
            yield None if came else str(path)


def _is_below(path: Path, places: set[Path]) -> bool:
    return any(parent in places for parent in path.parents)


def _would_be_found(path: Path) -> bool:
    is_photo = not why_skipped(path) and not heatmap.is_drawn(path)
    return is_photo and not any(is_litter(part) for part in (path, *path.parents))


def _in_list(file: str) -> Iterator[str]:
    """The lines of a list, without empty ones."""
    with _open_list(file) as lines:
        try:
            for line in lines:
                if name := line.rstrip("\r\n"):
                    yield name
        except UnicodeDecodeError as error:
            raise UserError(f"--list {file} is not a text in UTF-8. Save it as UTF-8.") from error


@contextmanager
def _open_list(file: str) -> Iterator[TextIO]:
    if file == STDIN:
        yield sys.stdin
        return
    try:
        opened_file = open(file, encoding="utf-8-sig")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UserError(f"Cannot read --list {file} ({error.strerror}). Check its name.") from error
    with opened_file:
        yield opened_file


def _in_url(url: str, skipped: Counter[str]) -> Iterator[str]:
    try:
        system, root = opened(url)
        if not url.endswith("/") and system.isfile(root):
            yield url
            return
        for name in _files_below(system, root.rstrip("/")):
            path = PurePosixPath(name)
            if is_litter(Path(path.name)):
                continue
            if path.suffix.lower() in SUFFIXES:
                yield system.unstrip_protocol(name)
            else:
                skipped[path.suffix.lower() or "file without an ending"] += 1
    except FileNotFoundError:
        return
    except Exception as error:  # each client has its own kinds
        raise unreachable(url, error) from error


def _files_below(system: Any, root: str) -> Iterator[str]:
    """The names of a bucket's files below `root`, lazily."""
    if hasattr(system, "call_s3"):
        yield from _s3_objects(system, root)
        return
    for entry in sorted(system.ls(root, detail=True), key=lambda entry: entry["name"]):
        name = entry["name"].rstrip("/")
        if name == root:  # an object that stands for the folder
            continue
        if entry["type"] == "directory":
            yield from _files_below(system, name)
        else:
            yield name


def _s3_objects(system: Any, root: str) -> Iterator[str]:
    bucket, _, prefix = root.partition("/")
    where = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else ""}
    more: dict[str, str] = {}
    while True:
        page = system.call_s3("list_objects_v2", **where, **more)
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/"):
                yield f"{bucket}/{entry['Key']}"
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}
