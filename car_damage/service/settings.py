"""What an operator may set: environment variables, read once at start, each with its check."""

import argparse
import difflib
import ipaddress
import logging
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from car_damage.errors import UserError
from car_damage.options import quoted, whole_number
from car_damage.parallel import cores
from car_damage.service.key_strength import GOOD_LENGTH, MIN_LENGTH, is_guessable

MAX_PHOTOS = 32  # in one request
NEARLY = 0.85  # difflib's ratio: MAXQUEUE and API_KEY are near a setting, PGPORT and REPORT are not
MOST_WAITING = 1000  # photos; each holds a thread, if it is a request of its own
# What clients and proxies take for a key (RFC 6750); a header's line must have room for it.
KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")
LONGEST_KEY = 1000
NEW_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(24))"'
ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443}  # which browsers leave out of an origin
LONGEST_WINDOW = 366 * 24 * 3600  # seconds, of a rate
REDIS = re.compile(r"rediss?://.+|redis\+unix://.+")


@dataclass(frozen=True)
class Settings:
    """How the service runs; the defaults are those of a start without any variable."""

    host: str | None = None  # 127.0.0.1 for app.py, all addresses for gunicorn
    port: int = 5000
    web_concurrency: int = 1  # worker processes, each with a model of its own
    max_upload_mb: int = 10  # MiB of one request's body
    max_queue: int = 64  # photos that one process works on and keeps waiting
    request_timeout: int = 30  # seconds that a photo may wait for its turn
    api_keys: tuple[str, ...] = field(default=(), repr=False)  # none: open to everybody
    cors_origins: tuple[str, ...] = ()
    rate_limit: str | None = None
    rate_limit_storage: str = field(default="memory://", repr=False)  # it may have a password
    trusted_proxies: int = 0
    log_format: str = "json"

    @property
    def graph_threads(self) -> int:
        """Threads of one process's model, so that all processes together fill the cores."""
        return max(1, cores() // self.web_concurrency)


@cache
def chosen() -> Settings:
    """The settings of this process, and of those that it forks: read once. Raises `UserError`."""
    settings = read(os.environ)
    _check_temporary_folder()
    return settings


def read(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; an empty variable counts as unset. Raises `UserError`."""
    settings = Settings(web_concurrency=cores())
    for variable, parse in VARIABLES.items():
        if text := environment.get(variable, "").strip():
            try:
                settings = replace(settings, **{variable.lower(): parse(text)})
            except argparse.ArgumentTypeError as error:
                raise UserError(f"{variable}: {error}") from None  # whose cause may be a secret
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


def short_keys(keys: tuple[str, ...]) -> list[str]:
    """A sentence about each key that is shorter than a random one should be."""
    return [
        f"API_KEYS: key {number} has only {len(key)} characters. Make a longer one with: {NEW_KEY}"
        for number, key in enumerate(keys, 1)
        if len(key) < GOOD_LENGTH
    ]


def warn(logger: logging.Logger) -> None:
    """Log a warning about each variable that looks like a misspelt setting, and each short key."""
    for sentence in [*misspelt(os.environ), *short_keys(chosen().api_keys)]:
        logger.warning(sentence)


def _check_temporary_folder() -> None:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"uploads wait there")
    except OSError as error:
        raise UserError(
            f"no temporary folder can be written to ({error.strerror}). Set TMPDIR to one that can."
        ) from error


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not an IP address such as 127.0.0.1 (this computer) or "
            "0.0.0.0 (all)"
        ) from error


def _keys(text: str) -> tuple[str, ...]:
    """The keys. Errors name a wrong one by its place in the list, since logs keep errors."""
    keys = tuple(key.strip() for key in text.split(","))
    for number, key in enumerate(keys, 1):
        if fault := _fault_of(key):
            raise argparse.ArgumentTypeError(f"key {number} of {len(keys)} {fault}")
    return keys


def _fault_of(key: str) -> str | None:
    if not key:
        return "is empty: put commas only between keys"
    if not KEY.fullmatch(key):
        return "has other characters than letters, digits and -._~+/, or = before its end"
    if len(key) > LONGEST_KEY:
        return f"is longer than {LONGEST_KEY} characters"
    if is_guessable(key):
        told = f"is easy to guess or shorter than {MIN_LENGTH} characters"
        return f"{told}. Make a good one with: {NEW_KEY}"
    return None


def _origins(text: str) -> tuple[str, ...]:
    return tuple(_origin(part.strip()) for part in text.split(","))


def _origin(text: str) -> str:
    """An origin as browsers send it: in lower case, without a port that is the default."""
    if text == "*":
        return text
    parts = ORIGIN.fullmatch(text)
    try:
        if not parts:
            raise ValueError
        scheme, host = parts[1].lower(), parts[2].lower()
        port = int(parts[3] or DEFAULT_PORTS[scheme])
        if host.startswith("["):
            host = f"[{ipaddress.IPv6Address(host[1:-1])}]"
        if not 0 < port <= 65_535:
            raise ValueError
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not * or an origin such as https://example.org, without a path"
        ) from error
    shown = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    return f"{scheme}://{host}{shown}"


def _log_format(text: str) -> str:
    if text not in ("json", "text"):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not json or text")
    return text


def _rate(text: str) -> str:
    # `limits` is loaded only where a rate is set: a start waits for it.
    from limits import parse_many

    try:
        understood = all(0 < rate.get_expiry() <= LONGEST_WINDOW for rate in parse_many(text))
    except ValueError:
        understood = False
    # A 0 would refuse everybody, or stand for 1; thousands of digits are more than `int` takes.
    if not understood or re.search(r"[0-9]{10}|(?<![0-9])0+(?![0-9])", text):
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not a rate such as 60/minute or 5/second;1000/day; its numbers "
            "start at 1, and its longest time is a year"
        )
    return text


def _storage(text: str) -> str:
    from car_damage.service.rates import MEMORY, InRedis  # likewise

    if text == MEMORY:
        return text
    try:
        if not REDIS.fullmatch(text):
            raise ValueError
        InRedis(text)
    except Exception:  # of any kind, and with the password
        raise argparse.ArgumentTypeError(
            "its value is not a storage such as memory:// or redis://localhost:6379; it may have "
            "a password and is not shown"
        ) from None
    return text


# How each variable is read; `Settings` has a field of the same name, in lower case.
VARIABLES: dict[str, Callable[[str], Any]] = {
    "HOST": _address,
    "PORT": whole_number(1, 65_535),
    "WEB_CONCURRENCY": whole_number(1, 256),
    "MAX_UPLOAD_MB": whole_number(1, 1000),
    # At least what one request may bring, or its client would be told to try again for ever.
    "MAX_QUEUE": whole_number(MAX_PHOTOS, MOST_WAITING),
    "REQUEST_TIMEOUT": whole_number(1, 3600),
    "API_KEYS": _keys,
    "CORS_ORIGINS": _origins,
    "RATE_LIMIT": _rate,
    "RATE_LIMIT_STORAGE": _storage,
    "TRUSTED_PROXIES": whole_number(0, 10),
    "LOG_FORMAT": _log_format,
}
