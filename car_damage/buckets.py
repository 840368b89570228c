"""Folders and buckets that fsspec reads and writes, such as s3://photos/2026/."""

from functools import cache
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from car_damage.errors import UserError

CLIENTS = "requirements-buckets.txt"  # the packages for these; none is installed by default
USUAL = ("s3", "gs", "gcs", "az", "abfs")
NO_BUCKET = "NoSuchBucket"  # S3's code, which its client reports as a missing file


def is_url(address: str) -> bool:
    """Whether an address names a place by a protocol, such as s3://."""
    return "://" in address


def check_protocol(address: str, what: str) -> None:
    """Raise `UserError`, which begins with `what`, if the address's protocol cannot be used."""
    protocol = fsspec.core.split_protocol(address)[0]
    try:
        fsspec.get_filesystem_class(protocol or "file")
    except ImportError as error:
        advice = f"Run: pip install -r {CLIENTS}" if protocol in USUAL else f"{error}."
        raise UserError(f"{what}: {protocol}:// needs another package. {advice}") from None
    except ValueError:
        raise UserError(
            f"{what}: {protocol}:// is unknown. Use a folder, s3://, gs:// or az://."
        ) from None


def is_local(address: str) -> bool:
    """Whether an address is a folder of this computer."""
    protocol = fsspec.core.split_protocol(address)[0]
    return issubclass(fsspec.get_filesystem_class(protocol or "file"), LocalFileSystem)


def opened(address: str) -> tuple[Any, str]:
    """The file system of an address, one for all threads, and the address's path in it."""
    system = _system(fsspec.core.split_protocol(address)[0] or "file")
    return system, system._strip_protocol(address)


def unreachable(address: str, error: Exception) -> UserError:
    """The error for an address whose server does not answer as it should."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"{address} cannot be used now: {reason}. Check the network and your access, then run this "
        "again."
    )


def refusal(error: Exception) -> str:
    """S3's code in an error of its client, such as `AccessDenied`; empty if there is none."""
    response: dict[str, dict[str, str]] = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code", "")


@cache
def _system(protocol: str) -> Any:
    # Without fsspec's cache of listings, because other processes write too. With more than one
    # request for a file at a time, s3fs would ask for the size of each file first.
    options = {"max_concurrency": 1} if protocol in ("s3", "s3a") else {}
    return fsspec.filesystem(protocol, use_listings_cache=False, **options)
