"""Inject faults into the service at random, while clients check each answer.

    python benchmarks/faults.py                 # an hour
    python benchmarks/faults.py --minutes 5

Runs two workers under gunicorn. Four honest clients send photos, each request with its own id,
and compare each answer with the earlier answer to the same photo. Other clients upload slowly or
close the connection in the middle. About every ten seconds there is a fault: a worker is killed,
gunicorn gets SIGHUP and finds a good version, a damaged one or none, `/tmp` is full for five
seconds, or nobody reads the log for five seconds. At the end, prints how many requests were
answered, correctly, twice or not at all, and the memory minute by minute. A request may be lost
only if its worker was killed. Needs root, to mount a small `/tmp`. Linux only.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import attacks
import service

from car_damage import model_store, paths

CLIENTS = 4
PHOTOS = 24
PAUSE = (5, 15)  # seconds between two faults
FAULT = 5  # seconds for which the disk or the pipe is full
SETTLED = 20  # seconds between the last fault and the end


@dataclass
class Outcome:
    """The results of the honest clients' requests."""

    statuses: Counter[int] = field(default_factory=Counter)  # 0: the connection broke
    wrong: list[str] = field(default_factory=list)  # ids of requests with a different answer
    sent: int = 0
    memory: list[float] = field(default_factory=list)  # MB, minute by minute


class Log:
    """Reads the service's log from a pipe, with pauses."""

    def __init__(self, pipe: int):
        self.reads = threading.Event()
        self.reads.set()
        self.answered: Counter[str] = Counter()  # how often a request id was answered with 200
        self.words: Counter[str] = Counter()
        self._file = os.fdopen(pipe)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._file:
            self.reads.wait()
            with suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if entry.get("status") == 200 and entry.get("path") == "/predict":
                    self.answered[entry["request_id"]] += 1
                elif entry["level"] != "info":
                    self.words[entry["message"][:100]] += 1


def honest(over: threading.Event, number: int, photos: list[bytes], outcome: Outcome) -> None:
    """Send photos one after the other, and reopen a broken connection."""
    right: dict[int, str] = {}
    connection = service.connect()
    count = 0
    while not over.is_set():
        count += 1
        index = count % len(photos)
        name = f"client-{number}-{count}"
        outcome.sent += 1
        headers = {"Content-Type": "image/jpeg", "X-Request-ID": name}
        try:
            connection.request("POST", "/predict", photos[index], headers)
            response = connection.getresponse()
            body = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            outcome.statuses[0] += 1
            connection.close()
            continue
        outcome.statuses[response.status] += 1
        if response.status != 200:
            time.sleep(0.2)
            continue
        said = f"{body['prediction']} {body['probability']}"
        if body["request_id"] != name or right.setdefault(index, said) != said:
            outcome.wrong.append(name)


def slow_or_broken(over: threading.Event, photo: bytes) -> None:
    """Upload slowly, or close the connection in the middle, again and again."""
    while not over.is_set():
        with suppress(OSError), attacks.attacker() as connection:
            connection.sendall(
                attacks.POST % (b"image/jpeg", len(photo)) + photo[: len(photo) // 2]
            )
            for at in range(random.randrange(10)):
                if over.wait(1):
                    break
                connection.sendall(photo[at : at + 1])


class Faults:
    """The faults."""

    def __init__(self, process: subprocess.Popen[bytes], models: Path, tmp: Path, log: Log):
        self._process, self._models, self._tmp, self._log = process, models, tmp, log

    def processes(self) -> list[str]:
        """Return the PIDs of gunicorn and its workers."""
        return [str(self._process.pid), *attacks.workers(self._process.pid)]

    def kill_a_worker(self) -> None:
        """Kill a worker, as the system does when memory is short."""
        workers = attacks.workers(self._process.pid)
        if workers:
            os.kill(int(random.choice(sorted(workers))), signal.SIGKILL)

    def reload_good(self) -> None:
        """Choose another version and have gunicorn load it."""
        self._reload(random.choice(["20260101-0000-aaaa", "20260102-0000-bbbb"]))

    def reload_damaged(self) -> None:
        """Have gunicorn load a version whose graph is truncated."""
        self._reload("20260103-0000-cccc")

    def reload_none(self) -> None:
        """Have gunicorn load a version that does not exist."""
        self._reload("20260104-0000-dddd")

    def _reload(self, version: str) -> None:
        (self._models / "current").write_text(version)
        self._process.send_signal(signal.SIGHUP)

    def fill_the_disk(self) -> None:
        """Fill /tmp for a while."""
        file = self._tmp / "full"
        with suppress(OSError), file.open("wb") as full:
            while True:
                full.write(bytes(1_000_000))
        time.sleep(FAULT)
        file.unlink()

    def stop_reading_the_log(self) -> None:
        """Stop reading the log for a while, so that its pipe fills."""
        self._log.reads.clear()
        time.sleep(FAULT)
        self._log.reads.set()


def versions(folder: Path) -> Path:
    """Make a folder with two good versions and a damaged one."""
    included = model_store.load_record(paths.MODELS).folder
    for name in ("20260101-0000-aaaa", "20260102-0000-bbbb", "20260103-0000-cccc"):
        shutil.copytree(included, folder / name)
        manifest = folder / name / "model.json"
        manifest.write_text(manifest.read_text().replace(included.name, name))
    graph = folder / "20260103-0000-cccc" / "model.tflite"
    graph.write_bytes(graph.read_bytes()[:1000])
    (folder / "current").write_text("20260101-0000-aaaa")
    return folder


@contextmanager
def running(folder: Path) -> Iterator[tuple[Faults, Log]]:
    """Run the service with its own versions and a small /tmp in `folder`."""
    tmp, config = folder / "tmp", folder / "gunicorn.conf.py"
    models = versions(folder / "models")
    change = "from pathlib import Path\nfrom car_damage import paths\n"
    change += f"paths.MODELS = Path({str(models)!r})\n"
    config.write_text(change + (service.ROOT / "gunicorn.conf.py").read_text())
    with ExitStack() as stack:
        tmp.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", tmp], check=True)
        stack.callback(subprocess.run, ["umount", "--lazy", tmp], check=True)
        variables = {"PORT": str(service.PORT), "WEB_CONCURRENCY": "2", "TMPDIR": str(tmp)}
        read, write = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", config],
            cwd=service.ROOT,
            env=os.environ | variables | {"PYTHONPATH": str(service.ROOT)},
            stdout=write,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        log = Log(read)
        service.wait_until_ready()
        yield Faults(process, models, tmp, log), log


def inject(faults: Faults, minutes: float, outcome: Outcome) -> Counter[str]:
    """Inject faults now and then. Returns how often each was injected."""
    choices = [
        faults.kill_a_worker,
        faults.reload_good,
        faults.reload_damaged,
        faults.reload_none,
        faults.fill_the_disk,
        faults.stop_reading_the_log,
    ]
    happened: Counter[str] = Counter()
    begun = time.monotonic()
    while time.monotonic() - begun < 60 * minutes:
        fault = random.choice(choices)
        happened[fault.__name__] += 1
        fault()
        time.sleep(random.uniform(*PAUSE))
        if (time.monotonic() - begun) / 60 > len(outcome.memory):
            outcome.memory.append(attacks.memory(faults.processes()))
    time.sleep(SETTLED)
    return happened


def report(outcome: Outcome, log: Log, happened: Counter[str]) -> None:
    """Print the results."""
    broken, kills = outcome.statuses[0], happened["kill_a_worker"]
    doubled = [name for name, times in log.answered.items() if times > 1]
    print(f"{outcome.sent} requests: {dict(outcome.statuses)} (0: the connection broke)")
    print(f"wrong or swapped answers: {len(outcome.wrong)}; answered twice: {len(doubled)}")
    print(f"faults: {dict(happened)}")
    print(f"connections that broke for each killed worker: {broken / max(1, kills):.2f}")
    print("memory in MB, minute by minute:", *(f"{each:.0f}" for each in outcome.memory))
    print("warnings and errors in the log:")
    for words, times in log.words.most_common(20):
        print(f"  {times} x {words}")


def main() -> None:
    """Run the service with faults and print the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    outcome, over = Outcome(), threading.Event()
    photos = [service.photo(seed) for seed in range(PHOTOS)]
    clients = [(honest, (over, number, photos, outcome)) for number in range(CLIENTS)]
    clients += [(slow_or_broken, (over, photos[0]))] * 2 * CLIENTS
    threads = [threading.Thread(target=target, args=given) for target, given in clients]
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as (faults, log):
        for thread in threads:
            thread.start()
        happened = inject(faults, arguments.minutes, outcome)
        over.set()
        for thread in threads:
            thread.join()
        time.sleep(2)  # until the rest of the log is read
    report(outcome, log, happened)


if __name__ == "__main__":
    main()
