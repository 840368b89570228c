"""What an operator may set: environment variables, read once at start, each with its check."""

import argparse
import difflib
import ipaddress
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pkgutil import resolve_name
from typing import Any

from car_damage.errors import UserError
from car_damage.options import whole_number
from car_damage.parallel import cores

MAX_PHOTOS = 32  # in one request
NEARLY = 0.85  # difflib's ratio: MAXQUEUE and API_KEY are near a setting, PGPORT and REPORT are not
# What a header can carry, commas aside; shorter ones can be guessed.
KEY = re.compile(r"[!-+\--~]{8,}")
ORIGIN = re.compile(r"\*|https?://[^/\s,*]+")


@dataclass(frozen=True)
class Settings:
    """How the service runs; the defaults are those of a start without any variable."""

    host: str | None = None  # 127.0.0.1 for app.py, all addresses for gunicorn
    port: int = 5000
    web_concurrency: int = 1  # worker processes, each with a model of its own
    max_upload_mb: int = 10  # MiB of one request's body
    max_queue: int = 64  # photos that one process works on and keeps waiting
    request_timeout: int = 30  # seconds that a photo may wait for its turn
    api_keys: tuple[str, ...] = ()  # none: open to everybody
    cors_origins: tuple[str, ...] = ()
    rate_limit: str | None = None
    rate_limit_storage: str = "memory://"
    trusted_proxies: int = 0
    log_format: str = "json"

    @property
    def graph_threads(self) -> int:
        """Threads of one process's model, so that all processes together fill the cores."""
        return max(1, cores() // self.web_concurrency)


@cache
def chosen() -> Settings:
    """The settings of this process, and of those that it forks: read once. Raises `UserError`."""
    return read(os.environ)


def read(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; an empty variable counts as unset. Raises `UserError`."""
    settings = Settings(web_concurrency=cores())
    for variable, parse in VARIABLES.items():
        if text := environment.get(variable, "").strip():
            try:
                settings = replace(settings, **{variable.lower(): parse(text)})
            except argparse.ArgumentTypeError as error:
                raise UserError(f"{variable}: {error}") from error
    return settings


def misspelt(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable whose name is nearly that of a setting."""
    found = {
        name: difflib.get_close_matches(name.upper(), VARIABLES, 1, NEARLY)
        for name in environment
        if name not in VARIABLES
    }
    return [
        f"{name} is not a setting and has no effect. Did you mean {near[0]}?"
        for name, near in found.items()
        if near
    ]


def warn_of_misspelt(logger: logging.Logger) -> None:
    """Log a warning for each variable of this process that looks like a misspelt setting."""
    for sentence in misspelt(os.environ):
        logger.warning(sentence)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an IP address such as 127.0.0.1 (this computer) or 0.0.0.0 (all)"
        ) from error


def _list_of(pattern: re.Pattern[str], expected: str) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(","))
        if not all(pattern.fullmatch(part) for part in parts):
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
        return parts

    return parse


def _log_format(text: str) -> str:
    if text not in ("json", "text"):
        raise argparse.ArgumentTypeError(f"{text!r} is not json or text")
    return text


def _understood_by(function: str, expected: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        # `limits` is loaded only where a rate is set: a start waits for it.
        from limits.errors import ConfigurationError

        try:
            resolve_name(function)(text)
        except (ConfigurationError, ValueError) as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from error
        return text

    return parse


# How each variable is read; `Settings` has a field of the same name, in lower case.
VARIABLES: dict[str, Callable[[str], Any]] = {
    "HOST": _address,
    "PORT": whole_number(1, 65_535),
    "WEB_CONCURRENCY": whole_number(1, 256),
    "MAX_UPLOAD_MB": whole_number(1, 1000),
    # At least what one request may bring, or its client would be told to try again for ever.
    "MAX_QUEUE": whole_number(MAX_PHOTOS, 10_000),
    "REQUEST_TIMEOUT": whole_number(1, 3600),
    "API_KEYS": _list_of(KEY, "keys of at least 8 printable ASCII characters, separated by commas"),
    "CORS_ORIGINS": _list_of(
        ORIGIN, "origins such as https://example.org, separated by commas, or *"
    ),
    "RATE_LIMIT": _understood_by(
        "limits:parse_many", "a rate such as 60/minute or 5/second;1000/day"
    ),
    "RATE_LIMIT_STORAGE": _understood_by(
        "limits.storage:storage_from_string",
        "a storage such as memory:// or redis://localhost:6379",
    ),
    "TRUSTED_PROXIES": whole_number(0, 10),
    "LOG_FORMAT": _log_format,
}
