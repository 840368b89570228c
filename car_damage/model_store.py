"""The versions in `models/`, and which of them is in use.

    python -m car_damage.model_store list             # each version, and which is current
    python -m car_damage.model_store use VERSION      # make VERSION the current one
    python -m car_damage.model_store back             # return to the version in use before
    python -m car_damage.model_store remove VERSION   # delete a version that is not in use

The file `models/current` names the version in use. Without it, the included version in
`models/pretrained/` is in use, which nothing here changes. `use` with its name goes back to it.
The file `models/previous` names the version that was in use before.
A version is written next to its place and renamed, and `current` is replaced in one step: after a
kill at any moment the version in use is whole.
"""

import argparse
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from car_damage import paths
from car_damage.errors import UserError, exit_code
from car_damage.files import PARTIAL, sha256_of, sharing_writers, staged_folder, write_text
from car_damage.manifest import Manifest

CURRENT = "current"
PREVIOUS = "previous"  # names the version that was in use before the current one
PRETRAINED = "pretrained"  # the folder of the included version, read-only
MANIFEST = "model.json"
GRAPH = "model.tflite"
KERAS_MODEL = "model.keras"
TRAINED_ON = "trained_on.txt"  # the SHA-256 of each training photo, one per line
SEALED = (KERAS_MODEL, GRAPH, TRAINED_ON)
VERSION = re.compile(r"\d{8}-\d{4}-[0-9a-f]{4}")  # safe in a path on every system
# Bytes. Larger files are refused unread: they would fill the memory, or take minutes to check.
LARGEST_NAME = 100
LARGEST_MANIFEST = 16 * 2**20
LARGEST_SEALED = 2 * 2**30  # no TFLite graph can be larger


@dataclass(frozen=True)
class Record:
    """A version that was found whole."""

    folder: Path
    manifest: Manifest

    @property
    def version(self) -> str:
        return self.folder.name

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH


def new_version_name(now: datetime) -> str:
    """A name such as `20261122-1630-1f3a` that sorts by time: UTC and four random digits."""
    # `secrets`, since a seeded generator would give every run of one minute the same digits.
    return f"{now.astimezone(UTC):%Y%m%d-%H%M}-{secrets.token_hex(2)}"


def versions(models: Path) -> list[str]:
    """The names of all versions in `models`, the included one too, oldest first."""
    return sorted({*_names(models), *_names(models / PRETRAINED)})


def current(models: Path) -> str | None:
    """The name of the version in use: the chosen one, or else the included one, or else None.

    Raises `UserError` if `models/current` cannot be read or names no version. The included version
    must not take over unnoticed.
    """
    return _named_in(models / CURRENT) or max(_names(models / PRETRAINED), default=None)


def is_included(folder: Path) -> bool:
    """Whether a version's folder is that of the included version, where nothing may be written."""
    return folder.parent.name == PRETRAINED


def load_record(models: Path, version: str | None = None) -> Record:
    """Open a version, the current one by default, and check it against its SHA-256s.

    Raises `UserError` when it is not there, or its model's files are missing or have changed. Only
    the graph must be there: copies of a version that are to answer photos leave the rest out.
    """
    version = _chosen(models) if version is None else version
    with _reading():
        folder = _folder(models, version)
        manifest = _read_manifest(folder)
        if GRAPH not in manifest.files:
            raise damaged(folder, f"{MANIFEST} has no SHA-256 of {GRAPH}")
        for name, sha256 in manifest.files.items():
            if (folder / name).is_file():
                _check_sealed(folder / name, sha256)
        if not (folder / GRAPH).is_file():
            raise damaged(folder, f"{GRAPH} is missing")
    return Record(folder, manifest)


@contextmanager
def add(models: Path, version: str) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes the version `version` when the block ends well.

    The block writes `model.json` without its entry `files`, which is added here: the SHA-256 of
    each file in `SEALED`. The other files describe the model and may be added or deleted.
    """
    if (models / version).exists():
        raise UserError(f"{models / version} is there already: start again under another name")
    with _writing(models), staged_folder(models / version) as folder:
        yield folder
        _seal(folder)


def trained_on(folder: Path) -> frozenset[str] | None:
    """The SHA-256 of each photo that a version or an ancestor was trained on; None if unknown."""
    path = folder / TRAINED_ON
    return frozenset(path.read_text(encoding="ascii").split()) if path.exists() else None


def use(models: Path, version: str) -> None:
    """Make `version` the current one. Raises `UserError` unless it is there and whole."""
    load_record(models, version)
    try:
        before = current(models)
    except UserError:  # the file is damaged: what is written here repairs it
        before = None
    if before and before != version:
        write_text(models / PREVIOUS, before + "\n")
    write_text(models / CURRENT, version + "\n")


def back(models: Path) -> str:
    """Make the version that was in use before the current one again; return its name.

    Going back twice ends where it began. Raises `UserError` if no version was in use before, or
    if it is no longer there and whole.
    """
    before = _named_in(models / PREVIOUS)
    if before is None or before == current(models):
        raise UserError(
            f"no earlier version was in use in {models}: choose one with {command(models, 'use')}"
        )
    use(models, before)
    return before


def remove(models: Path, version: str) -> None:
    """Delete a version. Raises `UserError` if it is missing, included or the current one."""
    folder = _folder(models, version)
    if is_included(folder):
        raise UserError(f"{version} is the included version: it is read-only and stays in {folder}")
    if version == current(models):
        raise UserError(f"{version} is in use: {command(models, 'use')} another version first")
    leaving = folder.with_name(version + PARTIAL)
    with _writing(models):
        os.rename(folder, leaving)  # first, so that a half-deleted version is not taken for one
        shutil.rmtree(leaving)


def table(models: Path) -> str:
    """A line for each version: name, date, backbone, accuracy on its test photos, if in use.

    If `models/current` is damaged, the last line says so.
    """
    in_use, damage = None, []
    try:
        in_use = current(models)
    except UserError as error:
        damage = [str(error)]
    lines = [f"{'version':20}{'made':18}{'backbone':20}accuracy"]
    for version in versions(models):
        folder = _folder(models, version)
        included = "  included" if is_included(folder) else ""
        mark = "  current" if version == in_use else ""
        lines.append(f"{version:20}{_summary(folder)}{included}{mark}")
    return "\n".join(lines + damage)


@contextmanager
def _writing(models: Path) -> Iterator[None]:
    """While the block writes or deletes a version, let no other run take it for left behind.

    If no other run is at work in `models`, deletes what killed runs left there.
    """
    models.mkdir(parents=True, exist_ok=True)
    with sharing_writers(models, lambda: _clear_partial(models)):
        yield


def _clear_partial(models: Path) -> None:
    for partial in models.glob(f"*{PARTIAL}"):
        if VERSION.fullmatch(partial.stem):
            shutil.rmtree(partial, ignore_errors=True)


def _named_in(file: Path) -> str | None:
    """The version that the file names, or None if it is missing."""
    try:
        with _reading():
            name = _read(file, LARGEST_NAME).decode("utf-8").strip()
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _no_name(file, str(error)) from error
    if not VERSION.fullmatch(name):
        raise _no_name(file, f"it contains {name!r}")
    return name


def _no_name(file: Path, why: str) -> UserError:
    way_out = f"choose with {command(file.parent, 'use')}"
    return UserError(f"{file} does not name a version ({why}): {way_out}")


def _read(file: Path, at_most: int) -> bytes:
    """The content of a regular file. Raises `ValueError` if it is none, or has more bytes."""
    if file.exists() and not file.is_file():  # a FIFO would never end
        raise ValueError(f"{file.name} is not a file")
    with file.open("rb") as opened:
        content = opened.read(at_most + 1)
    if len(content) > at_most:
        raise ValueError(f"{file.name} has more than {at_most:,} bytes")
    return content


@contextmanager
def _reading() -> Iterator[None]:
    """Turn a file that may not be read, a broken disk and the like into a `UserError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}): "
            "let the user who runs this program read it"
        ) from error


def _check_sealed(file: Path, sha256: str) -> None:
    if file.stat().st_size > LARGEST_SEALED:
        raise damaged(file.parent, f"{file.name} has more than {LARGEST_SEALED:,} bytes")
    if sha256_of(file) != sha256:
        raise damaged(file.parent, f"{file.name} has changed")


def _names(folder: Path) -> list[str]:
    names = (path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    return [name for name in names if VERSION.fullmatch(name)]


def _chosen(models: Path) -> str:
    name = current(models)
    if name:
        return name
    if versions(models):
        raise UserError(f"no version in {models} is in use: choose with {command(models, 'use')}")
    raise UserError(
        f"there is no model in {models}: run bash run_pipeline.sh first, or python "
        "data_preprocessing.py and python model_training.py"
    )


def _folder(models: Path, version: str) -> Path:
    if not VERSION.fullmatch(version):
        raise UserError(f"'{version}' is not the name of a version, such as 20261122-1630-1f3a")
    for folder in (models / version, models / PRETRAINED / version):
        if (folder / MANIFEST).is_file():
            return folder
    raise UserError(f"there is no version {version} in {models}: see {command(models, 'list')}")


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest.from_json(_read(folder / MANIFEST, LARGEST_MANIFEST).decode("utf-8"))
    except ValueError as error:  # neither UTF-8, nor JSON, nor a manifest
        raise damaged(folder, f"{MANIFEST} cannot be used: {error}") from error


def damaged(folder: Path, what: str) -> UserError:
    """The error for a version that is not whole; `what` is a clause that says why."""
    return UserError(
        f"{folder} is not as it was written ({what}): use another version or train again"
    )


def command(models: Path, action: str, version: str = "VERSION") -> str:
    """What to type in the project's folder to have this module do `action` in `models`."""
    where = "" if models.absolute() == paths.MODELS else f" --models {models}"
    name = "" if action in ("list", "back") else f" {version}"
    return f"python -m car_damage.model_store{where} {action}{name}"


def _seal(folder: Path) -> None:
    hashes = {path.name: sha256_of(path) for path in map(folder.joinpath, SEALED) if path.exists()}
    manifest = _read_manifest(folder).model_copy(update={"files": hashes})
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def _summary(folder: Path) -> str:
    try:
        manifest = _read_manifest(folder)
    except UserError:
        return f"{MANIFEST} cannot be read"
    made = (manifest.created or "-")[:16].replace("T", " ")
    accuracy = manifest.metrics.photos and manifest.metrics.photos.accuracy
    right = "-" if not accuracy or accuracy.value is None else f"{accuracy.value:.1%}"
    return f"{made:18}{manifest.backbone or '-':20}{right:8}"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m car_damage.model_store",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--models",
        type=Path,
        default=paths.shown(paths.MODELS),
        metavar="DIR",
        help="default: %(default)s",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|use|back|remove")
    actions.add_parser("list", help="show the versions")
    actions.add_parser("back", help="return to the version that was in use before")
    for action, what in (("use", "make a version the current one"), ("remove", "delete a version")):
        actions.add_parser(action, help=what).add_argument("version", metavar="VERSION")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    if args.action == "list":
        print(table(args.models) if versions(args.models) else f"no version in {args.models} yet")
    elif args.action == "use":
        use(args.models, args.version)
        print(f"{args.version} is now the current version")
    elif args.action == "back":
        print(f"{back(args.models)} is the current version again")
    else:
        remove(args.models, args.version)
        print(f"{args.version} was removed")


if __name__ == "__main__":
    sys.exit(exit_code(main))
