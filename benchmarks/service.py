"""Measure the service under load: start, latency, throughput, memory.

    python benchmarks/service.py                    # 20 seconds of load
    python benchmarks/service.py --seconds 600      # the ten minutes of the goal
    python benchmarks/service.py --starts 20        # do few clients keep all workers busy?

Starts gunicorn as in production with the version in use. Sends photos of 1024 px (drawn soft
shapes with grain like a camera's) over connections that are kept alive. Compares one client's
median time with the time for decoding, fitting and the graph, in this process with as many
threads as one worker has. Memory is the proportional set size of all processes together. Linux
only.

With `--starts`, starts the service anew each time, and lets 2, 3, 4 and 8 clients send photos in
turn. A start is good if each number of clients reaches at least 90 % of the highest throughput.
Rounds alternate and medians count, because other programs on the machine disturb a round.
"""

import argparse
import http.client
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.headlines import Headline, print_headlines  # noqa: E402 - found only with the path
from car_damage import model_store, paths, photos, predictor  # noqa: E402
from car_damage.parallel import cores  # noqa: E402

PORT = 5099
CLIENTS = 8
FEW_AND_MANY = (2, 3, 4, CLIENTS)
ROUNDS = 5  # for each number of clients in one start
ROUND = 1.5  # seconds
SHARE = 0.9  # of the highest throughput, which each number of clients should reach
SAMPLES = 200  # requests of one client, and photos answered in this process
WARM_UP = 20  # of these samples do not count
NOT_RECORDING = {"DATABASE_URL": ""}


def photo(seed: int, width: int = 1024, height: int = 768, grain: float = 6) -> bytes:
    """Draw a JPEG of this size. `grain` is a standard deviation in grey levels."""
    rng = np.random.default_rng(seed)
    shapes = cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), (width, height))
    grainy = (shapes + rng.normal(0, grain, shapes.shape)).clip(0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", grainy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


@contextmanager
def gunicorn(
    port: int = PORT, settings: Mapping[str, str] = NOT_RECORDING
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service as in production, with the version in use."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"],
        cwd=ROOT,
        env=os.environ | settings | {"PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def connect(port: int = PORT) -> http.client.HTTPConnection:
    """Return a connection that is kept alive."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def wait_until_ready(port: int = PORT) -> None:
    """Wait until /ready answers with 200."""
    while True:
        connection = connect(port)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)


def ask(connection: http.client.HTTPConnection, data: bytes) -> float:
    """Send a photo. Returns the seconds until the answer was read."""
    begun = time.perf_counter()
    connection.request("POST", "/predict", data, {"Content-Type": "image/jpeg"})
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise SystemExit(f"The service answered with status {response.status}.")
    return time.perf_counter() - begun


def in_process(data: list[bytes]) -> float:
    """Return the median seconds for decoding, fitting and the graph alone."""
    loaded = predictor.load(paths.MODELS, threads=1)  # as each worker has, with one worker per core
    times = []
    for number in range(SAMPLES):
        begun = time.perf_counter()
        photo = photos.decode(data[number % len(data)], loaded.record.manifest.size)
        decoded = time.perf_counter() - begun
        times.append(decoded + sum(loaded.predict(photo).seconds.values()))
    return statistics.median(times[WARM_UP:])


def load(data: list[bytes], seconds: float, count: int = CLIENTS) -> list[float]:
    """Let `count` clients send without a pause. Return the seconds of each answer in this time."""
    times: list[float] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        connection = connect()
        while True:
            waited = ask(connection, data[number % len(data)])
            if time.monotonic() > end:
                break
            times.append(waited)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(count)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return times


def spread(data: list[bytes]) -> dict[int, float]:
    """Start a service and return the median photos per second for each number of clients."""
    with gunicorn():
        while loaded_workers() < cores():
            time.sleep(0.02)
        rounds: dict[int, list[float]] = {count: [] for count in FEW_AND_MANY}
        for _ in range(ROUNDS):
            for count, rates in rounds.items():
                rates.append(len(load(data, ROUND, count)) / ROUND)
    return {count: statistics.median(rates) for count, rates in rounds.items()}


def many_starts(data: list[bytes], starts: int) -> None:
    """Print the throughput of few and of many clients, start by start."""
    good = 0
    for start in range(starts):
        rates = spread(data)
        share = min(rates.values()) / max(rates.values())
        good += share >= SHARE
        shown = ", ".join(f"{count}: {rate:.1f}" for count, rate in rates.items())
        print(f"start {start + 1}: photos/s by clients {shown}; lowest {share:.0%} of the highest")
    print(f"{good} of {starts} starts: every number of clients reached {SHARE:.0%} of the highest")


def memory(pid: int) -> float:
    """Return the memory of the process and its descendants in MB. Shared memory counts once.

    A process that ends at this moment counts as 0.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = _children(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own / 1000 + sum(map(memory, children))


def processor_seconds(pid: int) -> float:
    """Return the user and system time of the process and its descendants so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_seconds(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    """Return the children of all of a process's threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for each in threads for child in (each / "children").read_text().split()]


def back_after_kill(pid: int) -> float:
    """Kill a worker. Returns the seconds until as many as before have loaded their model."""
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    begun = time.perf_counter()
    os.kill(int(workers[0]), signal.SIGKILL)
    while loaded_workers() == len(workers):  # gunicorn has not noticed yet
        time.sleep(0.005)
    while loaded_workers() < len(workers):
        time.sleep(0.005)
    return time.perf_counter() - begun


def loaded_workers() -> int:
    """Count the workers that report their memory, which they do once their model has answered."""
    connection = connect()
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    except OSError:  # nothing listens yet, or the killed worker had the connection
        return 0
    finally:
        connection.close()
    reported = [line for line in lines if line.startswith("car_damage_resident_memory_bytes{")]
    return sum(float(line.split()[-1]) > 0 for line in reported)


def main() -> None:
    """Measure, and print each result at once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20, help="default: %(default)s")
    parser.add_argument("--starts", type=int, help="measure this many starts and nothing else")
    args = parser.parse_args()
    data = [photo(seed) for seed in range(16)]
    print(f"{cores()} cores, model {model_store.current(paths.MODELS)}")
    if args.starts:
        many_starts(data, args.starts)
        return
    alone = in_process(data)
    print(f"in-process: median {alone * 1000:.1f} ms")

    begun = time.perf_counter()
    with gunicorn() as process:
        wait_until_ready()
        print(f"ready after {time.perf_counter() - begun:.2f} s, {memory(process.pid):.0f} MB")
        connection = connect()
        median = statistics.median(
            [ask(connection, data[n % 16]) for n in range(SAMPLES)][WARM_UP:]
        )
        print(f"1 client: median {median * 1000:.1f} ms, {median / alone:.2f} times in-process")
        for minute in range(max(1, round(args.seconds / 60))):
            times = load(data, min(args.seconds, 60))
            print(
                f"{CLIENTS} clients, minute {minute + 1}: {len(times) / min(args.seconds, 60):.1f} "
                f"photos/s, median {statistics.median(times) * 1000:.0f} ms, "
                f"99 % below {statistics.quantiles(times, n=100)[-1] * 1000:.0f} ms, "
                f"{memory(process.pid):.0f} MB"
            )
        print(f"a killed worker was back after {back_after_kill(process.pid):.2f} s")
    name, other = "the service, one client", f"decode, fit and graph alone {alone * 1000:.1f}"
    print_headlines(
        [Headline(name, f"{median * 1000:.1f} ms", other, median / alone, "at most 1.3")]
    )


if __name__ == "__main__":
    main()
