"""The Kaggle set of damaged and whole cars, for whoever has no photos of their own."""

import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path

from car_damage.errors import UserError

SET = "anujms/car-damage-detection"
VERSION = 1  # named, or kagglehub asks Kaggle for the newest even when it has the set already
ADDRESS = "https://api.kaggle.com"  # where kagglehub fetches from
TIMEOUT = 10.0  # seconds, for everything between the question and the answer
WAY_OUT = "put photos of your own into data/raw, or take drawn cars with --sample"


def fetch() -> Path:
    """Fetch the set, unless an earlier call has; return its folder. Raises `UserError`."""
    import kagglehub  # only where it is needed: the import takes a second
    from kagglehub.exceptions import DataCorruptionError

    if not is_reachable():
        raise UserError(f"Kaggle does not answer: check the network; {WAY_OUT}")
    try:
        return Path(kagglehub.dataset_download(f"{SET}/versions/{VERSION}"))
    except (OSError, ValueError, DataCorruptionError) as error:  # all that requests raises is here
        reason = " ".join(str(error).split())
        raise UserError(f"Kaggle's {SET} was not fetched ({reason}): {WAY_OUT}") from error


def is_reachable() -> bool:
    """Whether the set can be had: an earlier call has fetched it, or Kaggle answers in time."""
    from kagglehub.cache import Cache
    from kagglehub.handle import parse_dataset_handle

    fetched = Cache().load_from_cache(parse_dataset_handle(f"{SET}/versions/{VERSION}"))
    return fetched is not None or answers(ADDRESS, TIMEOUT)


def answers(address: str, timeout: float) -> bool:
    """Whether anything answers at `address`, known after `timeout` seconds at the latest.

    Asked in a thread that may be left behind: looking a name up has no time limit of its own.
    """
    request = urllib.request.Request(address, method="HEAD")
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(request, timeout=timeout).close()
        except urllib.error.HTTPError:
            pass  # a refusal is an answer
        except (OSError, http.client.HTTPException):
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return answered.is_set()
