"""The address that the service listens on, its limits, and the links to open it."""

import errno
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from car_damage.errors import UserError
from car_damage.service.http_server import Limits
from car_damage.service.problems import MIB
from car_damage.service.settings import Settings

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

LOCAL = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")  # all addresses of this computer
# Addresses reserved for examples, for IPv4 (False) and IPv6 (True); nobody has them.
ELSEWHERE = {False: "192.0.2.1", True: "2001:db8::1"}
MOST_CONNECTIONS = 512  # of one process; Windows' select() cannot wait for more
RESERVED = 256  # descriptors of a process without clients, and of photos in forms
EACH = 2  # descriptors of each connection: the socket, and the file with its request
UPLOADS = 16  # of the largest size, on the disk at the same time
# The share of the disk for uploads. Files in a form are stored twice, and answers may take as much.
SHARE_OF_DISK = 1 / 4


def limits(settings: Settings) -> Limits:
    """Return the limits for one process's clients. Raises `UserError` with too few descriptors.

    Clients behind a trusted proxy all come from one address.
    """
    descriptors = _descriptors()
    connections = min(MOST_CONNECTIONS, (descriptors - RESERVED) // EACH)
    if connections < MOST_CONNECTIONS // 8:
        needed = RESERVED + EACH * MOST_CONNECTIONS
        raise UserError(
            f"a process may open only {descriptors} files, but the service needs {needed}. Raise "
            f"the limit with: ulimit -n {needed}"
        )
    per_address = connections if settings.trusted_proxies else connections // 2
    upload = settings.max_upload_mb * MIB
    disk = shutil.disk_usage(tempfile.gettempdir()).total
    share = int(disk * SHARE_OF_DISK / settings.web_concurrency)
    return Limits(connections, per_address, upload, max(upload, min(share, UPLOADS * upload)))


def _descriptors() -> int:
    """Raise this process's limit of descriptors as far as useful, and return it."""
    wanted = RESERVED + EACH * MOST_CONNECTIONS
    if resource is None:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open a listening socket. Raises `UserError` if the port is taken or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise UserError(_why_not(host, port, error)) from error
    with listener:
        yield listener


def addresses(host: str, port: int) -> list[str]:
    """Return the links for a browser on this computer, and for a phone if it can reach the host."""
    if host == LOCAL:
        return [f"http://localhost:{port}"]
    if host not in EVERYWHERE:
        return [f"http://{with_port(host, port)}"]
    mine = _address_in_network(is_ipv6=":" in host)
    phone = [f"http://{with_port(mine, port)} on a phone in the same network"] if mine else []
    return [f"http://localhost:{port}", *phone]


def with_port(host: str, port: int) -> str:
    """Join host and port, such as `127.0.0.1:5000` or `[::1]:5000`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"HOST: '{host}' is not an address of this computer. Use 127.0.0.1 for this computer "
            "only, or 0.0.0.0 for all networks."
        )
    taken = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    other = port + 1 if 1024 < port < 65_535 else 5001
    # PowerShell sets a variable in a separate command.
    command = f"PORT={other} python app.py"
    if sys.platform == "win32":
        command = f"$env:PORT={other}; python app.py"
    return f"port {port} {taken}; choose another: {command}"


def _address_in_network(is_ipv6: bool) -> str | None:
    """Return this computer's address in its network, or None. Sends nothing."""
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect((ELSEWHERE[is_ipv6], 9))
        except OSError:
            return None
        return str(outward.getsockname()[0])
