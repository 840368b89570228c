"""The service's settings: environment variables, read and checked once at start."""

import argparse
import difflib
import hashlib
import ipaddress
import logging
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

from car_damage.errors import UserError
from car_damage.options import quoted, share, whole_number
from car_damage.parallel import cores
from car_damage.service.key_strength import GOOD_LENGTH, MIN_LENGTH, is_guessable

MAX_PHOTOS = 32  # in one request
NEARLY = 0.85  # difflib's ratio; above it are MAXQUEUE and API_KEY, below it PGPORT and REPORT
MOST_WAITING = 1000  # photos; each needs a thread if it comes in its own request
# The characters that clients and proxies accept in a key (RFC 6750).
KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")
LONGEST_KEY = 1000  # characters; it must fit into a header line
NEW_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(24))"'
ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443}  # browsers leave them out of an origin
LONGEST_WINDOW = 366 * 24 * 3600  # seconds; the longest time of a rate
# The name of a key, before the colon; it becomes part of a log line and of a column of CSV.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LONGEST_NAME = 64
DATABASE = re.compile(r"postgres(ql)?(\+psycopg)?://.+|sqlite:///.+")
REDIS = re.compile(r"rediss?://.+|redis\+unix://.+")


class Key(NamedTuple):
    """A key and the name under which its records are kept. Keys with one name share them."""

    name: str
    secret: str


@dataclass(frozen=True)
class Settings:
    """The service's settings; the defaults apply if no variable is set."""

    host: str | None = None  # 127.0.0.1 for app.py, all addresses for gunicorn
    port: int = 5000
    web_concurrency: int = 1  # worker processes, each with its own model
    max_upload_mb: int = 10  # MiB of one request's body
    max_queue: int = 64  # photos in one process, at work or waiting
    request_timeout: int = 30  # seconds that a photo may wait for its turn
    api_keys: tuple[Key, ...] = field(default=(), repr=False)  # without any, everybody has access
    admin_keys: tuple[Key, ...] = field(default=(), repr=False)  # they see all records
    cors_origins: tuple[str, ...] = ()
    rate_limit: str | None = None
    rate_limit_storage: str = field(default="memory://", repr=False)  # may contain a password
    trusted_proxies: int = 0
    log_format: str = "json"
    database_url: str | None = field(default=None, repr=False)  # without it, nothing is recorded
    keep_photos: str | None = None  # a folder or a bucket; without it, no photo is kept
    retention_days: int | None = None  # without it, records are kept for ever
    audit_share: float = 0.0  # of the sure answers that go to review

    @property
    def graph_threads(self) -> int:
        """Threads of each process's model, so that all processes together use all cores."""
        return max(1, cores() // self.web_concurrency)


@cache
def chosen() -> Settings:
    """Return the settings of this process and its forks, read once. Raises `UserError`."""
    settings = read(os.environ)
    _check_temporary_folder()
    return settings


def read(environment: Mapping[str, str]) -> Settings:
    """Read the settings. An empty variable counts as unset. Raises `UserError`."""
    settings = Settings(web_concurrency=cores())
    for variable, parse in VARIABLES.items():
        if text := environment.get(variable, "").strip():
            try:
                settings = replace(settings, **{variable.lower(): parse(text)})
            except argparse.ArgumentTypeError as error:
                raise UserError(f"{variable}: {error}") from None  # the cause may contain a secret
    _check_records(settings)
    _check_keys(settings)
    return settings


def misspelt(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable whose name is similar to a setting's."""
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


def short_keys(settings: Settings) -> list[str]:
    """Return a warning for each key that is shorter than a random key should be."""
    keys = {"API_KEYS": settings.api_keys, "ADMIN_KEYS": settings.admin_keys}
    return [
        f"{variable}: key {number} has only {len(key.secret)} characters. Make a longer one with: "
        f"{NEW_KEY}"
        for variable, of_variable in keys.items()
        for number, key in enumerate(of_variable, 1)
        if len(key.secret) < GOOD_LENGTH
    ]


def warn(logger: logging.Logger) -> None:
    """Log a warning for each setting that looks misspelt, and for each short key."""
    for sentence in [*misspelt(os.environ), *short_keys(chosen())]:
        logger.warning(sentence)


def _check_temporary_folder() -> None:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"uploads wait there")
    except OSError as error:
        raise UserError(
            f"the service cannot write to a temporary folder ({error.strerror}). Set TMPDIR to a "
            "folder that it can write to."
        ) from error


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not an IP address. Use 127.0.0.1 for this computer only, or "
            "0.0.0.0 for all networks."
        ) from error


def _keys(text: str) -> tuple[Key, ...]:
    """Return the keys. Errors name a wrong key by its position, because errors end up in logs."""
    keys = tuple(_key(part.strip()) for part in text.split(","))
    for number, key in enumerate(keys, 1):
        if fault := _fault_of(key):
            raise argparse.ArgumentTypeError(f"key {number} of {len(keys)} {fault}")
    return keys


def _key(text: str) -> Key:
    """Return a key, which may have its name and a colon before it.

    The name of a key without one comes from its hash, so that it does not depend on other keys.
    """
    name, colon, secret = text.rpartition(":")
    if colon:
        return Key(name.strip(), secret.strip())
    return Key(f"key-{hashlib.sha256(text.encode()).hexdigest()[:8]}", text)


def _fault_of(key: Key) -> str | None:
    if not key.secret:
        return "is empty. Put commas only between keys."
    if not NAME.fullmatch(key.name):
        return (
            f"has an invalid name. Use up to {LONGEST_NAME} letters, digits and -._, and a colon "
            "between name and key."
        )
    if not KEY.fullmatch(key.secret):
        return "has invalid characters. Use letters, digits and -._~+/, and = only at the end."
    if len(key.secret) > LONGEST_KEY:
        return f"has {len(key.secret)} characters. Use at most {LONGEST_KEY}."
    if is_guessable(key.secret):
        fault = f"is easy to guess or shorter than {MIN_LENGTH} characters"
        return f"{fault}. Make a good one with: {NEW_KEY}"
    return None


def _check_records(settings: Settings) -> None:
    """Refuse settings that have no effect without a database, because photos would be lost."""
    if settings.database_url is None:
        for name in ("keep_photos", "retention_days", "audit_share"):
            if getattr(settings, name):
                raise UserError(f"{name.upper()} needs a database: set DATABASE_URL too.")


def _check_keys(settings: Settings) -> None:
    """Refuse a key that is both an ordinary one and an administrator's."""
    if {key.secret for key in settings.api_keys} & {key.secret for key in settings.admin_keys}:
        raise UserError("a key is in API_KEYS and in ADMIN_KEYS. Make another one for one of them.")


def _origins(text: str) -> tuple[str, ...]:
    return tuple(_origin(part.strip()) for part in text.split(","))


def _origin(text: str) -> str:
    """Return an origin as browsers send it: in lower case, without the default port."""
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
            f"{quoted(text)} is not an origin. Use * for all, or origins such as "
            "https://example.org, without a path."
        ) from error
    shown = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    return f"{scheme}://{host}{shown}"


def _log_format(text: str) -> str:
    if text not in ("json", "text"):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a log format. Use json or text.")
    return text


def _database(text: str) -> str:
    if not DATABASE.fullmatch(text):  # it may contain the password
        raise argparse.ArgumentTypeError(
            "the value is not a database that the service can use. Use an SQLite file such as "
            "sqlite:///data/records.db, or postgresql://USER:PASSWORD@HOST/NAME. The value is not "
            "shown because it may contain a password."
        )
    return text


def _rate(text: str) -> str:
    # Imported only if a rate is set, because it slows the start.
    from limits import parse_many

    try:
        understood = all(0 < rate.get_expiry() <= LONGEST_WINDOW for rate in parse_many(text))
    except ValueError:
        understood = False
    # A 0 would refuse everybody or count as 1. `int` fails for thousands of digits.
    if not understood or re.search(r"[0-9]{10}|(?<![0-9])0+(?![0-9])", text):
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not a rate. Use one such as 60/minute or 5/second;1000/day, with "
            "numbers from 1 and times of up to a year."
        )
    return text


def _storage(text: str) -> str:
    from car_damage.service.rates import MEMORY, InRedis  # see above

    if text == MEMORY:
        return text
    try:
        if not REDIS.fullmatch(text):
            raise ValueError
        InRedis(text)
    except Exception:  # of many kinds, and it may contain the password
        raise argparse.ArgumentTypeError(
            "the value is not a storage address. Use memory:// or one such as "
            "redis://localhost:6379. The value is not shown because it may contain a password."
        ) from None
    return text


# The parser of each variable. `Settings` has a field with the same name in lower case.
VARIABLES: dict[str, Callable[[str], Any]] = {
    "HOST": _address,
    "PORT": whole_number(1, 65_535),
    "WEB_CONCURRENCY": whole_number(1, 256),
    "MAX_UPLOAD_MB": whole_number(1, 1000),
    # At least as many photos as one request may have. Otherwise its client would retry for ever.
    "MAX_QUEUE": whole_number(MAX_PHOTOS, MOST_WAITING),
    "REQUEST_TIMEOUT": whole_number(1, 3600),
    "API_KEYS": _keys,
    "ADMIN_KEYS": _keys,
    "CORS_ORIGINS": _origins,
    "RATE_LIMIT": _rate,
    "RATE_LIMIT_STORAGE": _storage,
    "TRUSTED_PROXIES": whole_number(0, 10),
    "LOG_FORMAT": _log_format,
    "DATABASE_URL": _database,
    "KEEP_PHOTOS": str,
    "RETENTION_DAYS": whole_number(1, 36_500),
    "AUDIT_SHARE": share,
}
