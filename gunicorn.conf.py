"""gunicorn's configuration: `gunicorn app:app` in this folder, or `gunicorn -c gunicorn.conf.py`.

Each worker process has its own model and classifies one photo at a time. One thread reads and
writes all connections. The other threads wait for their photos' turns.
"""

import sys
from functools import partial
from itertools import count
from pathlib import Path

from gunicorn.workers import base
from prometheus_client import values

sys.path.insert(0, str(Path(__file__).parent))
from car_damage import paths
from car_damage.errors import exit_code
from car_damage.service import logs, metrics, reloading, settings
from car_damage.service.heartbeat import Heartbeat
from car_damage.service.http_server import STALLED
from car_damage.service.listening import limits, with_port
from car_damage.service.loads import Loads
from car_damage.service.restarts import Restarts
from car_damage.service.shared_metrics import SharedMetrics


def choose_version():
    """Check the settings, and choose one version for all workers.

    gunicorn reads this file at the start and at each SIGHUP, but not for a worker that replaces
    a dead one. So the version is chosen here.
    """
    settings.chosen()
    import app  # the main process imports it, so that all workers share the memory of its code

    app.prepare_records(settings.chosen())
    version = reloading.version_to_serve(paths.MODELS)
    app.make_app = partial(app.for_worker, paths.MODELS, version)


if wrong := exit_code(choose_version):
    sys.exit(wrong)

base.WorkerTmp = Heartbeat
wsgi_app = "app:app"
bind = with_port(settings.chosen().host or "0.0.0.0", settings.chosen().port)
workers = settings.chosen().web_concurrency
worker_class = "car_damage.service.worker.Worker"
threads = settings.chosen().max_queue + 64  # for waiting photos, and for requests without photos
# Longer than a stalled upload plus an accepted photo's turn. A slow upload may take even longer and
# is then lost.
graceful_timeout = STALLED + settings.chosen().request_timeout + 5
control_socket_disable = True
loads = Loads(workers)  # new at each reload, because new workers ignore stopping ones
accesslog = None  # the service logs each request itself, with more details
logconfig_dict = logs.config(settings.chosen().log_format)


def refused(sentence):
    """Print an error; return its exit code."""
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def on_starting(server):
    """Create the objects that all workers share. Refuse options that the workers cannot honour."""
    if server.cfg.preload_app:  # the model's thread does not survive a fork
        sys.exit(refused("Each worker needs its own model. Start without --preload."))
    if server.cfg.is_ssl:  # the workers would answer without TLS
        sys.exit(refused("The service does no TLS. Put a proxy in front of it that does."))
    # Includes old workers that finish their requests after a reload.
    metrics.shared = SharedMetrics(slots=4 * server.cfg.workers)
    server.restarts = Restarts(server)
    reloading.guard(server)
    settings.warn(server.log.error_log)


def pre_fork(server, worker):
    """Give the worker the lowest free slot and the objects that all workers share."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in count() if slot not in taken)
    worker.loads = loads
    worker.limits = limits(settings.chosen())
    worker.note_loaded = partial(server.restarts.note_loaded, worker)
    server.restarts.begin(worker)


def post_fork(server, worker):
    """Make the worker count in its slot's table, before it creates its metrics."""
    values.ValueClass = metrics.shared.value_class(worker.slot)


def post_worker_init(worker):
    """Connect the worker with its queue, and /ready with the worker's stop."""
    from car_damage.service.api import QUEUE

    queue = worker.wsgi.extensions[QUEUE]
    worker.has_model = lambda: queue.predictor is not None
    worker.is_stuck = lambda: queue.stuck
    # Report the loaded model at once, without waiting until the worker next wakes.
    queue.loading.add_done_callback(lambda _: worker.note_loaded())
    queue.loading.add_done_callback(lambda _: worker.wake())
    worker.wsgi.config["STOPPING"] = lambda: not worker.alive


def child_exit(server, worker):
    """Delete the ended worker's gauges and load. Its counts stay."""
    metrics.shared.forget(worker.slot)
    worker.loads.forget(worker.slot)
    server.restarts.note_end(worker)
