"""Send photos to a server and measure its answers. It runs in a process of its own.

    python benchmarks/load.py PORT CLIENTS SECONDS PHOTO_FOLDER TOLERANCE

The folder has JPEGs, and `expected.json` with the probability for each. Each client sends photos
without a pause over a connection that is kept alive, in forms (field `image`). An error, or a
probability that differs by more than the tolerance, ends the run. Prints JSON: the seconds of each
answer, how many answers came in time, the seconds of the run, and this process's processor time.
"""

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

EXPECTED = "expected.json"
BOUNDARY = "a2f9c1d7e4"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


class WrongAnswer(Exception):  # noqa: N818 - it is no error of this program
    """A server failed to answer, or answered with a wrong probability."""


class Photo(NamedTuple):
    """The body of a request, and the probability that the answer must have."""

    body: bytes
    expected: float


def read(folder: Path) -> list[Photo]:
    """Read the photos of a folder."""
    expected = json.loads((folder / EXPECTED).read_text())
    return [Photo(form((folder / name).read_bytes()), expected[name]) for name in expected]


def form(jpeg: bytes) -> bytes:
    """Return the body of a form with this photo."""
    head = 'Content-Disposition: form-data; name="image"; filename="car.jpg"'
    begin = f"--{BOUNDARY}\r\n{head}\r\nContent-Type: image/jpeg\r\n\r\n"
    return begin.encode() + jpeg + f"\r\n--{BOUNDARY}--\r\n".encode()


def connect(port: int) -> http.client.HTTPConnection:
    """Return a connection that is kept alive."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def ask(connection: http.client.HTTPConnection, photo: Photo, tolerance: float) -> float:
    """Send a photo. Returns the seconds until the answer was read. Raises `WrongAnswer`."""
    begun = time.perf_counter()
    connection.request("POST", "/predict", photo.body, HEADERS)
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - begun
    if response.status != 200:
        raise WrongAnswer(f"The server answered with status {response.status}: {body[:200]!r}")
    probability = json.loads(body)["probability"]
    if abs(probability - photo.expected) > tolerance:
        raise WrongAnswer(f"The server answered {probability} instead of {photo.expected}.")
    return seconds


def load(
    port: int, photos: list[Photo], clients: int, seconds: float, tolerance: float
) -> tuple[list[float], int]:
    """Return the seconds of each answer, and how many came in time. Raises `WrongAnswer`.

    Each client's last answer comes too late, when some clients have stopped sending already.
    """
    end = time.monotonic() + seconds

    def client(number: int) -> list[float]:
        connection, times = connect(port), []
        for photo in islice(cycle(photos), number, None):
            times.append(ask(connection, photo, tolerance))
            if time.monotonic() >= end:
                break
        return times

    with ThreadPoolExecutor(clients) as pool:
        times = [each for found in pool.map(client, range(clients)) for each in found]
    return times, len(times) - clients


def main() -> None:
    """Measure, and print the result."""
    port, clients, seconds, folder, tolerance = sys.argv[1:]
    photos, used = read(Path(folder)), time.process_time()
    times, in_time = load(int(port), photos, int(clients), float(seconds), float(tolerance))
    used = time.process_time() - used
    result = {"times": times, "in_time": in_time, "seconds": float(seconds), "processor": used}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
