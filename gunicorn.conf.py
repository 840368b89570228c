"""How gunicorn runs the service: gunicorn -c gunicorn.conf.py

Each worker process has a model of its own and answers one photo at a time; its many threads only
wait, for uploads and for the photo's turn. So 64 clients that stall in the middle of an upload hold
64 threads and no photo up.
"""

import os
import shutil
import socket
import struct
import sys
import tempfile
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from car_damage.errors import exit_code
from car_damage.service import logs, settings

if wrong := exit_code(lambda: settings.chosen() and None):
    sys.exit(wrong)

STALLED = 30  # seconds without a byte after which a client is cut off
METRICS = "PROMETHEUS_MULTIPROC_DIR"

wsgi_app = "app:from_environment()"
bind = f"0.0.0.0:{settings.chosen().port}"
workers = settings.chosen().workers
worker_class = "car_damage.service.worker.Worker"
threads = 128
keepalive = 5  # seconds
# Longer than the slowest accepted request: an upload that ends just in time, then its turn.
graceful_timeout = STALLED + settings.chosen().request_timeout + 5
control_socket_disable = True
accesslog = None  # the service writes a line for each request itself, and knows more
logconfig_dict = logs.config(settings.chosen().log_format)


def on_starting(server):
    """Prepare what all workers share: a folder for metrics, and the code, in memory once."""
    os.environ[METRICS] = tempfile.mkdtemp(prefix="car-damage-metrics-")
    import app  # noqa: F401
    from car_damage.service import metrics

    metrics.free_slot(
        metrics.MASTER
    )  # it answers no photos, so its memory is not told among workers'


def when_ready(server):
    """Have the system end a `recv` or `send` that waits too long; connections inherit this."""
    patience = struct.pack("ll", STALLED, 0)
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)


def pre_fork(server, worker):
    """Give the worker the lowest slot that no living one has."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in count() if slot not in taken)


def post_fork(server, worker):
    """Have the worker count in its slot's files."""
    from car_damage.service import metrics

    metrics.use_slot(worker.slot)


def post_worker_init(worker):
    """Tell /ready when a stop is asked for, and whose fault a body is that is no HTTP."""
    from gunicorn.http.errors import ParseException

    from car_damage.service import problems

    worker.wsgi.config["STOPPING"] = lambda: not worker.alive
    worker.wsgi.register_error_handler(
        ParseException, lambda _: problems.response_to(problems.malformed())
    )


def child_exit(server, worker):
    """Free the slot of a worker that is gone, however it went."""
    from car_damage.service import metrics

    metrics.free_slot(worker.slot)


def on_exit(server):
    """Remove what `on_starting` made."""
    shutil.rmtree(os.environ[METRICS], ignore_errors=True)
