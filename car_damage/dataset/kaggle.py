"""Download the Kaggle set of damaged and undamaged cars, for users without photos."""

import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path

from car_damage.errors import UserError

SET = "anujms/car-damage-detection"
VERSION = 1  # without it, kagglehub asks Kaggle for the newest version every time
ADDRESS = "https://api.kaggle.com"  # the server that kagglehub downloads from
TIMEOUT = 10.0  # seconds, for the whole request
FIX = "put your own photos into data/raw, or use drawn cars with --sample"


def fetch() -> Path:
    """Download the set, unless it is already there; return its folder. Raises `UserError`."""
    import kagglehub  # imported here, because it takes a second
    from kagglehub.exceptions import DataCorruptionError

    if not is_reachable():
        raise UserError(f"Kaggle does not respond. Check your network, {FIX}.")
    try:
        return Path(kagglehub.dataset_download(f"{SET}/versions/{VERSION}"))
    except (OSError, ValueError, DataCorruptionError) as error:  # includes all errors of requests
        reason = " ".join(str(error).split())
        raise UserError(
            f"Cannot download Kaggle's {SET} ({reason}). Check your network, {FIX}."
        ) from error


def is_reachable() -> bool:
    """Whether the set is available: it was downloaded before, or Kaggle responds in time."""
    from kagglehub.cache import Cache
    from kagglehub.handle import parse_dataset_handle

    fetched = Cache().load_from_cache(parse_dataset_handle(f"{SET}/versions/{VERSION}"))
    return fetched is not None or answers(ADDRESS, TIMEOUT)


def answers(address: str, timeout: float) -> bool:
    """Whether a server responds at `address` within `timeout` seconds.

    The request runs in a thread of its own, because looking up a name has no time limit.
    """
    request = urllib.request.Request(address, method="HEAD")
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(request, timeout=timeout).close()
        except urllib.error.HTTPError:
            pass  # a refusal is also a response
        except (OSError, http.client.HTTPException):
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return answered.is_set()
