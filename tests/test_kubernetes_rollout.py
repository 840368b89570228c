"""One pod replaced by another under load, as the manifest's hooks do it, with no cluster at hand.

Two services run side by side behind a local proxy, which learns only after a while that the old pod
goes, as the nodes of a cluster do, and sends no request a second time.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from operator import itemgetter
from pathlib import Path
from threading import Event

import pytest
import requests

from tests.gunicorn_process import PATIENCE, ROOT, Service, running, wait_until
from tests.manifests import PRODUCTION, container, pod
from tests.nginx import network
from tests.photo_files import jpeg, texture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="pods run Linux"),
]

NOTICED = 5  # seconds from when a pod is told to go until no new connection is sent there
CLIENTS = 4
PHOTO = jpeg(texture(seed=1))
IMAGE = {"Content-Type": "image/jpeg"}


def starting(folder: Path) -> AbstractContextManager[Service]:
    """The service with the model that comes along and the manifest's variables, but open to all."""
    folder.mkdir()
    variables = {
        variable["name"]: variable["value"]
        for variable in container(PRODUCTION)["env"]
        if "value" in variable
    }
    return running(ROOT, folder, **variables)


def passes(probe: dict, service: Service) -> bool:
    """What the kubelet finds when it probes the service once."""
    address = f"http://127.0.0.1:{service.port}{probe['httpGet']['path']}"
    try:
        return requests.get(address, timeout=probe["timeoutSeconds"]).ok
    except requests.RequestException:
        return False


def kill_if_dead(service: Service, probe: dict, until: Event) -> None:
    """Probe the service and kill it where the kubelet would."""
    failures = 0
    while not until.wait(probe["periodSeconds"]):
        failures = 0 if passes(probe, service) else failures + 1
        if failures == probe["failureThreshold"]:
            service.process.kill()


def outcomes(port: int, until: Event) -> list[int | str]:
    """What a client gets that sends photos without a pause, each over a new connection."""
    seen: list[int | str] = []
    while not until.is_set():
        try:
            answer = requests.post(f"http://127.0.0.1:{port}/predict", PHOTO, headers=IMAGE)
            seen.append(answer.status_code)
        except requests.RequestException as error:
            seen.append(repr(error))
    return seen


def outcomes_over_one_connection(service: Service) -> list[int]:
    """What a client gets that keeps its connection to the pod for as long as the pod does."""
    connection, seen, closed = service.connection(), [], False
    while not closed:
        connection.request("POST", "/predict", PHOTO, IMAGE)
        response = connection.getresponse()
        response.read()
        seen.append(response.status)
        closed = response.will_close
    return seen


def upload_that_ends_after(event: Event) -> Iterator[bytes]:
    """The photo: a byte a second until the event, then the rest."""
    sent = 0
    while not event.wait(1):
        sent += 1
        yield PHOTO[sent - 1 : sent]
    yield PHOTO[sent:]


def photos_of(service: Service) -> int:
    """How many photos it has answered."""
    return sum("prediction" in line for line in service.lines())


def play(*events: tuple[float, Callable[[], object]]) -> None:
    """Let each event happen so many seconds from now, one after the other."""
    passed = 0.0
    for moment, happen in sorted(events, key=itemgetter(0)):
        time.sleep(moment - passed)
        happen()
        passed = moment


def test_a_rollout_under_load_loses_no_request(tmp_path):
    pre_stop = container(PRODUCTION)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod(PRODUCTION)["spec"]["terminationGracePeriodSeconds"]
    liveness, readiness = (container(PRODUCTION)[f"{of}Probe"] for of in ("liveness", "readiness"))
    stopping, over = Event(), Event()
    with ExitStack() as stack:
        old = stack.enter_context(starting(tmp_path / "old"))
        port, lead_to = stack.enter_context(network(tmp_path))
        threads = stack.enter_context(ThreadPoolExecutor(CLIENTS + 4))
        stack.callback(stopping.set)  # whatever fails below, the threads end
        stack.callback(over.set)
        lead_to(old.port)
        clients = [threads.submit(outcomes, port, over) for _ in range(CLIENTS)]
        threads.submit(kill_if_dead, old, liveness, until=stopping)

        new = stack.enter_context(starting(tmp_path / "new"))
        while not passes(readiness, new):
            time.sleep(readiness["periodSeconds"])
        threads.submit(kill_if_dead, new, liveness, until=over)
        lead_to(old.port, new.port)

        upload = threads.submit(old.ask, "/predict", upload_that_ends_after(stopping))
        kept = threads.submit(outcomes_over_one_connection, old)
        play(
            (NOTICED, lambda: lead_to(new.port)),
            (pre_stop, lambda: old.process.send_signal(signal.SIGTERM)),
        )
        assert set(kept.result(PATIENCE)) == {200}  # it ends once the pod says that it stops
        stopping.set()
        assert old.process.wait(grace - pre_stop) == 0  # longer, and the kubelet would kill it
        assert photos_of(old) > 0

        answered = photos_of(new)
        wait_until(lambda: photos_of(new) > answered + CLIENTS)
        over.set()
        assert {outcome for client in clients for outcome in client.result()} == {200}
        assert upload.result()[0] == 200
