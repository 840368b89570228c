"""Measure the service under attack, while an honest client sends photos.

    python benchmarks/attacks.py                    # each attack for a minute, in both set-ups
    python benchmarks/attacks.py --seconds 10 --only photos

Starts gunicorn as a pod does (one worker) and as `docker run` does (two), each with 512 MiB.
Attackers connect from 127.0.0.2 and the honest client from 127.0.0.1. The client sends a photo,
waits for the answer, and sends the next one. /health is requested twice a second. For each
attack, prints the share of the client's photos that got the correct answer within
`REQUEST_TIMEOUT`, the slowest /health, the killed workers, and the memory before, at its peak and
a minute later. A control group (version 1 or 2) limits the memory, which needs root. Linux only.
"""

import argparse
import http.client
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import service
from PIL import Image

ATTACKER = ("127.0.0.2", 0)
REQUEST_TIMEOUT = 30  # seconds, the default
BETWEEN_CHECKS = 0.5  # seconds
WARM_UP = 100  # photos, before memory is measured
CALM = 60  # seconds after an attack, before memory is measured again
SETUPS = {"pod": "1", "docker run": "2"}  # number of workers
MEMORY = 512  # MiB
GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"


# Attacks. Each runs until `over` is set.


def silent_connections(over: threading.Event) -> None:
    """Open 2,300 connections that send nothing."""
    hold(over, 2300, b"")


def unfinished_heads(over: threading.Event) -> None:
    """Send 600 requests whose headers never end, and send them again when they are cut off."""
    hold(over, 600, b"POST /predict HTTP/1.1\r\nHost: x\r\n", again=True)


def answers_not_taken(over: threading.Event) -> None:
    """Request a large file over 400 connections and read nothing."""
    hold(over, 400, GET % b"/docs/swagger-ui-bundle.js", again=True)


def stalled_uploads(over: threading.Event) -> None:
    """Send 128 forms of 20 files that stop just before their end."""
    body, content_type = form([bytes(490_000)] * 20)
    begun = POST % (content_type, len(body)) + body[:-100]
    hold(over, 128, begun, again=True)


def many_small_requests(over: threading.Event) -> None:
    """Send sixteen small photos per request from eleven clients without a pause."""
    body, content_type = form([jpeg(64)] * 16)
    repeat(over, 11, POST % (content_type, len(body)) + body)


def scans(over: threading.Event) -> None:
    """Send progressive JPEGs of 50 megapixels with 1,200 scans."""
    send_photos(over, progressive_jpeg(7071, 1200))


def segments(over: threading.Event) -> None:
    """Send JPEGs with 4 MB of tiny Exif segments."""
    photo = jpeg(640)
    send_photos(over, photo[:2] + b"\xff\xe1\x00\x08Exif\0\0" * 400_000 + photo[2:])


def run_lengths(over: threading.Event) -> None:
    """Send bitmaps of 50 megapixels in 5 kB, eight in a request."""
    lines = b"\0\0" * 2000 + b"\0\1"
    body, content_type = form([bitmap(7000, 7000, lines)] * 8)
    repeat(over, 4, POST % (content_type, len(body)) + body)


def huge_tile(over: threading.Event) -> None:
    """Send TIFFs of 64 x 64 pixels, stored in one tile of 23168 x 23168."""
    send_photos(over, tiff_with_tile(23168))


CONNECTIONS = [silent_connections, unfinished_heads, answers_not_taken, stalled_uploads]
PHOTOS = [many_small_requests, scans, segments, run_lengths, huge_tile]
ATTACKS = {"connections": CONNECTIONS, "photos": PHOTOS}


# What attackers send.


def jpeg(side: int) -> bytes:
    """Draw a square photo of soft shapes."""
    return service.photo(1, side, side)


def form(files: list[bytes]) -> tuple[bytes, bytes]:
    """Return a form with these files in the field image, and its content type."""
    disposition = b'Content-Disposition: form-data; name="image"; filename="a.jpg"'
    parts = b"".join(b"--x\r\n%b\r\n\r\n%b\r\n" % (disposition, file) for file in files)
    return parts + b"--x--\r\n", b"multipart/form-data; boundary=x"


def segment(marker: int, data: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def progressive_jpeg(side: int, count: int) -> bytes:
    """Return a JPEG whose first scan makes everything grey. The other scans refine it."""
    blocks = ((side + 7) // 8) ** 2
    frame = segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
    tables = segment(0xDB, b"\0" + bytes([1] * 64))
    tables += segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0")  # DC: 0 means "no change"
    tables += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")  # AC: 0 means "many zeros"
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(blocks // 8) + b"\x7f"
    runs = "".join(f"0{16383:014b}" for _ in range(blocks // 32767 + 1))
    bits = runs + "1" * (-len(runs) % 8)
    coded = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    scan = segment(0xDA, b"\1\1\0\1\x3f\x10") + coded.replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + tables + frame + first + scan * count + b"\xff\xd9"


def bitmap(width: int, height: int, data: bytes) -> bytes:
    """Return a run-length coded BMP (BI_RLE8) with a black palette."""
    palette = bytes(1024)
    begin = 14 + 40 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", begin + len(data), 0, 0, begin)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return head + info + palette + data


def tiff_with_tile(side: int) -> bytes:
    """Return a small TIFF whose tags claim that it is stored in one tile of this side."""
    small = io.BytesIO()
    tags = {322: side, 323: side, 324: 8, 325: 1}  # the tile's sides, offset and size
    Image.new("F", (64, 64)).save(small, "TIFF", tiffinfo=tags)
    return small.getvalue()


# How attackers send it.


def attacker() -> socket.socket:
    """Open a connection that receives little at a time."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.bind(ATTACKER)
    connection.connect(("127.0.0.1", service.PORT))
    return connection


def hold(over: threading.Event, count: int, sent: bytes, again: bool = False) -> None:
    """Keep `count` connections open that sent this. With `again`, reopen those that are closed."""
    connections: list[socket.socket] = []
    while not over.wait(0.2):
        open_now = [each for each in connections if not is_closed(each)] if again else connections
        for each in set(connections) - set(open_now):
            each.close()
        connections = open_now
        while len(connections) < count and not over.is_set():
            with suppress(OSError):
                connection = attacker()
                connections.append(connection)
                connection.sendall(sent)
    for connection in connections:
        connection.close()


def is_closed(connection: socket.socket) -> bool:
    """Return whether the service has closed the connection. Reads nothing."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def repeat(over: threading.Event, clients: int, sent: bytes) -> None:
    """Have clients send this and wait for the answer, again and again."""

    def client() -> None:
        while not over.is_set():
            with suppress(OSError), attacker() as connection:
                connection.settimeout(2 * REQUEST_TIMEOUT)
                connection.sendall(sent)
                connection.recv(100)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    over.wait()


def send_photos(over: threading.Event, photo: bytes) -> None:
    """Have four clients send this photo without a pause."""
    repeat(over, 4, POST % (b"image/jpeg", len(photo)) + photo)


# What happens to the service meanwhile.


@dataclass
class Seen:
    """What an honest client saw."""

    photos: list[bool] = field(default_factory=list)  # whether each got the correct answer in time
    health: list[float] = field(default_factory=list)  # seconds; infinite without an answer

    @property
    def share(self) -> float:
        """The share of photos that got the correct answer."""
        return sum(self.photos) / max(1, len(self.photos))


def ask_honestly(over: threading.Event, seen: Seen, photo: bytes, right: str) -> None:
    """Send a photo, wait for its answer, and send the next."""
    while not over.is_set():
        seen.photos.append(answer(photo) == right)


def answer(photo: bytes) -> str:
    """Return the service's answer to a photo, or an empty text without an answer in time."""
    connection = http.client.HTTPConnection("127.0.0.1", service.PORT, timeout=REQUEST_TIMEOUT)
    try:
        connection.request("POST", "/predict", photo, {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        body = response.read().decode()
        return body.partition('"model_version"')[0] if response.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def check_health(over: threading.Event, seen: Seen) -> None:
    """Request /health twice a second."""
    while not over.wait(BETWEEN_CHECKS):
        begun = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", service.PORT, timeout=10)
        try:
            connection.request("GET", "/health")
            is_alive = connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            is_alive = False
        finally:
            connection.close()
        seen.health.append(time.perf_counter() - begun if is_alive else float("inf"))


@contextmanager
def limited_memory() -> Iterator[Path]:
    """Make a control group with `MEMORY`, for processes that write their PID into its file."""
    root = Path("/sys/fs/cgroup")
    is_second = (root / "cgroup.controllers").exists()
    group = (root if is_second else root / "memory") / f"attacks-{os.getpid()}"
    group.mkdir()
    limit = "memory.max" if is_second else "memory.limit_in_bytes"
    (group / limit).write_text(str(MEMORY * 2**20))
    try:
        yield group
    finally:
        time.sleep(1)  # until the last process has left
        group.rmdir()


def memory(pids: Iterable[str]) -> float:
    """Return the proportional set size of these processes, in MB."""
    kilobytes = 0
    for pid in pids:
        with suppress(OSError):  # the process has ended
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kilobytes += int(text.partition("\nPss:")[2].split()[0])
    return kilobytes / 1000


def processes(group: Path) -> list[str]:
    """Return the PIDs in a control group."""
    return (group / "cgroup.procs").read_text().split()


def workers(pid: int) -> set[str]:
    """Return the PIDs of the workers."""
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@contextmanager
def running(setup: str) -> Iterator[tuple[int, Path]]:
    """Run the service in a set-up. Yields its PID and control group."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        group = stack.enter_context(limited_memory())
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"],
            cwd=service.ROOT,
            env=os.environ
            | {"PORT": str(service.PORT), "WEB_CONCURRENCY": SETUPS[setup], "TMPDIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),
        )
        try:
            service.wait_until_ready()
            yield process.pid, group
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def row(attack: Callable[[threading.Event], None], setup: str, seconds: float, calm: float) -> str:
    """Run an attack and return its results as a row of the table."""
    over, seen = threading.Event(), Seen()
    photo = jpeg(640)
    with running(setup) as (pid, group):
        for _ in range(WARM_UP):
            right = answer(photo)
        before, alive = memory(processes(group)), workers(pid)
        most = before
        threads = [
            threading.Thread(target=attack, args=(over,), daemon=True),
            threading.Thread(target=ask_honestly, args=(over, seen, photo, right)),
            threading.Thread(target=check_health, args=(over, seen)),
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.1)
            most = max(most, memory(processes(group)))
        over.set()
        for thread in threads[1:]:
            thread.join()
        killed = len(alive - workers(pid))
        time.sleep(calm)
        after = memory(processes(group))
    return (
        f"| {attack.__name__.replace('_', ' ')} | {setup} | {len(seen.photos)} | {seen.share:.1%} "
        f"| {max(seen.health, default=float('inf')):.2f} s | {killed} "
        f"| {before:.0f}, {most:.0f}, {after:.0f} MB |"
    )


def main() -> None:
    """Run the attacks and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long each attack lasts")
    parser.add_argument("--only", choices=[*ATTACKS, *(a.__name__ for a in CONNECTIONS + PHOTOS)])
    parser.add_argument("--setup", choices=SETUPS, action="append")
    arguments = parser.parse_args()
    print("| attack | set-up | photos | answered | slowest /health | killed workers | memory |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for attack in CONNECTIONS + PHOTOS:
        kind = next(kind for kind, attacks in ATTACKS.items() if attack in attacks)
        if arguments.only in (None, kind, attack.__name__):
            for setup in arguments.setup or SETUPS:
                calm = min(CALM, arguments.seconds)
                print(row(attack, setup, arguments.seconds, calm), flush=True)


if __name__ == "__main__":
    main()
