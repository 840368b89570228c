"""Manage the versions in `models/`: list them, choose the one in use, delete others.

    python -m car_damage.model_store list             # show all versions and the current one
    python -m car_damage.model_store use VERSION      # make VERSION the current version
    python -m car_damage.model_store back             # return to the version in use before
    python -m car_damage.model_store remove VERSION   # delete a version that is not in use

The file `models/current` names the version in use, and `models/previous` the one before it. Without
`models/current`, the included version in `models/pretrained/` is in use. It is read-only. To return
to it, run `use` with its name. All changes are atomic, so the version in use stays whole even if a
command is killed.
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
from car_damage.files import (
    PARTIAL,
    flush_to_disk,
    sha256_of,
    sharing_writers,
    staged_folder,
    write_text,
)
from car_damage.manifest import Manifest

CURRENT = "current"
PREVIOUS = "previous"  # names the version that was in use before the current one
PRETRAINED = "pretrained"  # the folder of the included version, read-only
MANIFEST = "model.json"
GRAPH = "model.tflite"
KERAS_MODEL = "model.keras"
TRAINED_ON = "trained_on.txt"  # the SHA-256 of each training photo, one a line
REFERENCE = "reference.npz"  # a sample of the training photos, for drift_check.py
SEALED = (KERAS_MODEL, GRAPH, TRAINED_ON, REFERENCE)
VERSION = re.compile(r"\d{8}-\d{4}-[0-9a-f]{4}")  # safe in a path on every system
# Limits in bytes. Larger files are refused unread: they could fill the memory or take minutes.
LARGEST_NAME = 100
LARGEST_MANIFEST = 16 * 2**20
LARGEST_SEALED = 2 * 2**30  # no TFLite graph can be larger


@dataclass(frozen=True)
class Record:
    """A version that is complete and unchanged."""

    folder: Path
    manifest: Manifest

    @property
    def version(self) -> str:
        return self.folder.name

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH


def new_version_name(now: datetime) -> str:
    """Make a name such as `20261122-1630-1f3a`: the time in UTC and four random digits."""
    # `secrets`, because a seeded generator would give all runs of one minute the same digits.
    return f"{now.astimezone(UTC):%Y%m%d-%H%M}-{secrets.token_hex(2)}"


def versions(models: Path) -> list[str]:
    """The names of all versions in `models`, including the included one, oldest first."""
    return sorted({*_names(models), *_names(models / PRETRAINED)})


def current(models: Path) -> str | None:
    """The name of the version in use: the chosen one, otherwise the included one, or None.

    Raises `UserError` if `models/current` cannot be read or does not contain a version name, so
    that the included version does not take over unnoticed.
    """
    return _named_in(models / CURRENT) or max(_names(models / PRETRAINED), default=None)


def is_included(folder: Path) -> bool:
    """Whether a version's folder is the included version, which is read-only."""
    return folder.parent.name == PRETRAINED


def load_record(models: Path, version: str | None = None) -> Record:
    """Open a version, the current one by default, and check it against its SHA-256s.

    Raises `UserError` if the version or its graph is missing, or if one of its model's files has
    changed. Other files may be missing, because serving needs only the graph.
    """
    version = _chosen(models) if version is None else version
    with _reading():
        folder = folder_of(models, version)
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
    """Yield an empty folder to fill; it becomes `version` when the block succeeds.

    The block writes `model.json` without the entry `files`. This function adds it: the SHA-256 of
    each file in `SEALED`. The other files describe the model and may be added or deleted later.
    """
    if (models / version).exists():
        raise UserError(f"{models / version} already exists. Start again.")
    with _writing(models), staged_folder(models / version) as folder:
        yield folder
        _seal(folder)


def add_file(record: Record, name: str, content: bytes) -> None:
    """Add a file of `SEALED` to a version that lacks it, and its SHA-256 to `model.json`.

    If a run is killed in between, the file is not in `model.json` and is added again.
    """
    path = record.folder / name
    partial = path.with_name(name + PARTIAL)
    partial.write_bytes(content)
    flush_to_disk(partial)
    os.replace(partial, path)
    files = record.manifest.files | {name: sha256_of(path)}
    manifest = record.manifest.model_copy(update={"files": files})
    write_text(record.folder / MANIFEST, manifest.to_json())


def trained_on(folder: Path) -> frozenset[str] | None:
    """SHA-256s of the photos that a version and its ancestors were trained on; None if unknown."""
    path = folder / TRAINED_ON
    return frozenset(path.read_text(encoding="ascii").split()) if path.exists() else None


def use(models: Path, version: str) -> None:
    """Make `version` the current one. Raises `UserError` if it is missing or damaged."""
    load_record(models, version)
    try:
        before = current(models)
    except UserError:  # the file is damaged, and is replaced below
        before = None
    if before and before != version:
        write_text(models / PREVIOUS, before + "\n")
    write_text(models / CURRENT, version + "\n")


def back(models: Path) -> str:
    """Return to the version that was in use before, and return its name.

    A second call returns to the present one. Raises `UserError` if no version was in use before,
    or if it is missing or damaged.
    """
    before = _named_in(models / PREVIOUS)
    if before is None or before == current(models):
        raise UserError(
            f"No other version was in use in {models} before. "
            f"Choose one with: {command(models, 'use')}"
        )
    use(models, before)
    return before


def remove(models: Path, version: str) -> None:
    """Delete a version. Raises `UserError` if it is missing, included or the current one."""
    folder = folder_of(models, version)
    if is_included(folder):
        raise UserError(
            f"{version} is the included version, which is read-only. Choose another version."
        )
    if version == current(models):
        raise UserError(
            f"{version} is in use. First switch to another version: {command(models, 'use')}"
        )
    leaving = folder.with_name(version + PARTIAL)
    with _writing(models):
        os.rename(folder, leaving)  # first, so that a half-deleted version never counts as one
        shutil.rmtree(leaving)


def table(models: Path) -> str:
    """Format a line for each version: name, date, backbone, test accuracy, whether it is current.

    If `models/current` is damaged, the last line is the error message.
    """
    in_use, damage = None, []
    try:
        in_use = current(models)
    except UserError as error:
        damage = [str(error)]
    lines = [f"{'version':20}{'made':18}{'backbone':20}accuracy"]
    for version in versions(models):
        folder = folder_of(models, version)
        included = "  included" if is_included(folder) else ""
        mark = "  current" if version == in_use else ""
        lines.append(f"{version:20}{_summary(folder)}{included}{mark}")
    return "\n".join(lines + damage)


@contextmanager
def _writing(models: Path) -> Iterator[None]:
    """Mark this process as a writer of versions, so that no other run deletes its partial folders.

    If no other process is writing in `models`, first delete what killed runs left there.
    """
    models.mkdir(parents=True, exist_ok=True)
    with sharing_writers(models, lambda: _clear_partial(models)):
        yield


def _clear_partial(models: Path) -> None:
    for partial in models.glob(f"*{PARTIAL}"):
        if VERSION.fullmatch(partial.stem):
            shutil.rmtree(partial, ignore_errors=True)


def _named_in(file: Path) -> str | None:
    """The version name in a file, or None if the file is missing."""
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
    fix = f"Choose a version with: {command(file.parent, 'use')}"
    return UserError(f"{file} does not contain a version name ({why}). {fix}")


def _read(file: Path, at_most: int) -> bytes:
    """Read a regular file of at most `at_most` bytes. Raises `ValueError` for any other."""
    if file.exists() and not file.is_file():  # reading a FIFO would never end
        raise ValueError(f"{file.name} is not a file")
    with file.open("rb") as opened:
        content = opened.read(at_most + 1)
    if len(content) > at_most:
        raise ValueError(f"{file.name} has more than {at_most:,} bytes")
    return content


@contextmanager
def _reading() -> Iterator[None]:
    """Turn errors such as a missing permission or a broken disk into a `UserError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(
            f"Cannot read {error.filename} ({error.strerror}). "
            "Give the user who runs this program permission to read it."
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
        raise UserError(
            f"No version in {models} is in use. Choose one with: {command(models, 'use')}"
        )
    raise UserError(f"There is no model in {models}. Train one with: bash run_pipeline.sh")


def folder_of(models: Path, version: str) -> Path:
    """The folder of a version. Raises `UserError` if there is none."""
    if not VERSION.fullmatch(version):
        raise UserError(
            f"'{version}' is not a version name such as 20261122-1630-1f3a. "
            f"List all versions with: {command(models, 'list')}"
        )
    for folder in (models / version, models / PRETRAINED / version):
        if (folder / MANIFEST).is_file():
            return folder
    raise UserError(
        f"There is no version {version} in {models}. "
        f"List all versions with: {command(models, 'list')}"
    )


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest.from_json(_read(folder / MANIFEST, LARGEST_MANIFEST).decode("utf-8"))
    except ValueError as error:  # not UTF-8, not JSON, or not a manifest
        raise damaged(folder, f"{MANIFEST} cannot be used: {error}") from error


def damaged(folder: Path, what: str) -> UserError:
    """The error for a damaged version; `what` is a clause that gives the reason."""
    return UserError(f"{folder} is damaged ({what}). Use another version or train again.")


def command(models: Path, action: str, version: str = "VERSION") -> str:
    """The command line, for the project's folder, that does `action` in `models`."""
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
        help="folder of the versions (default: %(default)s)",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|use|back|remove")
    actions.add_parser("list", help="show all versions and the current one")
    actions.add_parser("back", help="return to the version that was in use before")
    for action, what in (
        ("use", "make a version the current one"),
        ("remove", "delete a version that is not in use"),
    ):
        actions.add_parser(action, help=what).add_argument("version", metavar="VERSION")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    if args.action == "list":
        print(table(args.models) if versions(args.models) else f"no versions in {args.models} yet")
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
