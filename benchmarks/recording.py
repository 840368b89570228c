"""Measure what recording costs an answer, with SQLite and with PostgreSQL.

    python benchmarks/recording.py [--postgresql URL]

Starts the service as in production, without a database and with each, all at once. One client sends
blocks of 200 photos to each in turn, 20 times, so that a disturbance of the machine hits all of
them. Each round has photos of its own, and gives the ratio of the medians of two neighbouring
blocks. The table has the median of these ratios with its 95 % interval (bootstrap over the rounds).
Photos are kept in a folder. PostgreSQL's database must be empty and is left with its tables.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import service  # noqa: E402 - found only with the path above

BLOCKS = 20
REQUESTS = 200  # of a block
PORT = 5090  # and the next ones


def block(port: int, data: list[bytes]) -> float:
    """Return the median seconds of one client that sends each photo once."""
    connection = service.connect(port)
    times = [service.ask(connection, photo) for photo in data]
    connection.close()
    return statistics.median(times)


def interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of a median, by a bootstrap."""
    samples = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.percentile(np.median(samples, axis=1), [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Measure all services in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--postgresql", metavar="URL", help="an empty database")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {"SQLite": f"sqlite:///{folder / 'records.db'}"}
        if args.postgresql:
            urls["PostgreSQL"] = args.postgresql
        ports = {"nothing": PORT}
        stack.enter_context(service.gunicorn(PORT))
        for number, (name, url) in enumerate(urls.items(), 1):
            settings = {"DATABASE_URL": url, "KEEP_PHOTOS": str(folder / name)}
            command = [sys.executable, "-m", "car_damage.records", "migrate"]
            subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=True)
            ports[name] = PORT + number
            stack.enter_context(service.gunicorn(ports[name], settings))
        for port in ports.values():
            service.wait_until_ready(port)
        medians: dict[str, list[float]] = {name: [] for name in ports}
        for round_ in range(-1, BLOCKS):
            first = (round_ + 1) * REQUESTS
            data = [service.photo(seed) for seed in range(first, first + REQUESTS)]
            for name, port in ports.items():
                found = block(port, data)
                if round_ >= 0:  # the round before is to warm up
                    medians[name].append(found)
    print(f"median without a database: {1000 * statistics.median(medians['nothing']):.2f} ms")
    for name in urls:
        ratios = [on / off for on, off in zip(medians[name], medians["nothing"], strict=True)]
        low, high = interval(ratios)
        print(f"{name}: {statistics.median(ratios):.4f} times ({low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()
