"""`RATE_LIMIT`: limit the number of photos that a client may send in a given time."""

import logging
import math
import time
from threading import Lock
from time import monotonic
from typing import Protocol

from limits import RateLimitItem, parse_many
from limits.errors import StorageError

from car_damage.service.problems import Problem

MEMORY = "memory://"
MOST_CLIENTS = 100_000  # counted by one process; this bounds its memory
SWEEP = 60  # seconds between removals of expired counts
REDIS_TIMEOUT = 1  # seconds that a request waits for Redis
AWAY = 10  # seconds without Redis after it did not answer

logger = logging.getLogger(__name__)


class Counts(Protocol):
    """Counts that expire: each returns to zero after its time in seconds."""

    def add(self, key: str, seconds: int, amount: int) -> int:
        """Add to a count and return it. Its time starts with the first amount."""

    def seconds_left(self, key: str) -> float:
        """Return the seconds until the count returns to zero."""


class Rates:
    """Several rates, all of which each client must keep."""

    def __init__(self, rates: str, storage: str):
        self._rates = sorted(parse_many(rates))  # the shortest first
        self._own = InMemory()
        self._shared = None if storage == MEMORY else InRedis(storage)
        self._away_until = -math.inf

    def charge(self, client: str, photos: int) -> None:
        """Count photos, including refused ones. Raises `Problem` "rate_limited"."""
        if self._shared and monotonic() >= self._away_until:
            try:
                return self._charge(self._shared, client, photos)
            except StorageError as error:
                self._away_until = monotonic() + AWAY
                logger.warning(
                    "RATE_LIMIT_STORAGE does not answer (%s); for %d seconds, this worker counts "
                    "only its own photos",
                    type(error.storage_error).__name__,
                    AWAY,
                )
        return self._charge(self._own, client, photos)

    def _charge(self, counts: Counts, client: str, photos: int) -> None:
        for rate in self._rates:
            key = rate.key_for(client)
            if counts.add(key, rate.get_expiry(), photos) > rate.amount:
                seconds = max(1, math.ceil(counts.seconds_left(key)))
                raise Problem("rate_limited", _sentence(rate, photos), seconds)


class InMemory:
    """Counts of this process, with a monotonic clock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, tuple[int, float]] = {}  # each count, and when it expires
        self._next_sweep = monotonic() + SWEEP

    def add(self, key: str, seconds: int, amount: int) -> int:
        """Add to a count, see `Counts`."""
        now = monotonic()
        with self._lock:
            self._forget(now)
            count, end = self._counts.get(key, (0, -math.inf))
            if end <= now:
                count, end = 0, now + seconds
            self._counts[key] = count + amount, end
        return count + amount

    def seconds_left(self, key: str) -> float:
        """Return the seconds until the count returns to zero."""
        with self._lock:
            return self._counts.get(key, (0, -math.inf))[1] - monotonic()

    def _forget(self, now: float) -> None:
        if now >= self._next_sweep:
            self._counts = {key: value for key, value in self._counts.items() if value[1] > now}
            self._next_sweep = now + SWEEP
        if len(self._counts) >= MOST_CLIENTS:
            del self._counts[next(iter(self._counts))]


class InRedis:
    """Counts in Redis, shared by several processes, with Redis's clock. Raises `StorageError`."""

    def __init__(self, address: str):
        """Prepare the connection. Raises many kinds of exceptions for a wrong address."""
        from limits.storage import RedisStorage
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._storage = RedisStorage(
            address,
            wrap_exceptions=True,
            socket_timeout=REDIS_TIMEOUT,
            socket_connect_timeout=REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # passed on to redis, as it is
        )
        # This does not connect yet, but it fails for an address with unknown options.
        self._storage.storage.connection_pool.make_connection()

    def add(self, key: str, seconds: int, amount: int) -> int:
        """Add to a count, see `Counts`."""
        return self._storage.incr(key, seconds, amount)

    def seconds_left(self, key: str) -> float:
        """Return the seconds until the count returns to zero."""
        return self._storage.get_expiry(key) - time.time()


def _sentence(rate: RateLimitItem, photos: int) -> str:
    unit = rate.GRANULARITY.name
    allowed = f"{rate.amount} photos per " + (
        unit if rate.multiples == 1 else f"{rate.multiples} {unit}s"
    )
    if photos >= rate.amount > 0 and photos > 1:
        return f"A client may send {allowed}, but this request alone has more. Send fewer at once."
    return f"The client sent more than {allowed}. Wait, then try again."
