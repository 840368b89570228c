"""The queue when clients send more photos than the service can classify."""

import io
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from time import monotonic

from flask.testing import FlaskClient

from car_damage.service import queue
from car_damage.service.api import QUEUE
from car_damage.service.classify import Job, Result
from car_damage.service.metrics import Metrics
from tests.clients import RED, client_of, form, problem
from tests.gunicorn_process import wait_until

FIRST, OTHER = "127.0.0.1", "192.0.2.7"


def send(client, *photos, address=FIRST):
    environment = {"REMOTE_ADDR": address}
    return client.post("/predict", data=form(*photos), environ_base=environment)


def kinds(response) -> Counter[str]:
    """The number of photos in a request by problem, with "none" for answered ones."""
    outcomes = response.json["predictions"]
    return Counter(outcome.get("type", "/problems/none").split("/")[-1] for outcome in outcomes)


@contextmanager
def held_up(models, monkeypatch, **settings) -> Iterator[tuple[FlaskClient, list[queue.Job]]]:
    """Block a service with a first photo; yield its client and the photos that were started."""
    client, classify = client_of(models, **settings), queue.classify
    begun, let_go = [], Event()

    def held_back(predictor, job):
        begun.append(job)
        assert let_go.wait(30)
        return classify(predictor, job)

    monkeypatch.setattr(queue, "classify", held_back)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(send, client, RED)
        try:
            wait_until(lambda: begun)
            yield client, begun
        finally:
            let_go.set()
    assert first.result().status_code == 200  # a photo at work is answered, even if it is late


def test_photos_over_the_limit_are_refused_at_once(models, monkeypatch):
    with held_up(models, monkeypatch, max_queue=32) as (client, begun):
        refused = send(client, *[RED] * 32)
        assert problem(refused) == (503, "busy")
        assert int(refused.headers["Retry-After"]) > 0
    assert len(begun) == 1
    assert send(client, *[RED] * 32).status_code == 200


def test_a_photo_that_waited_too_long_is_not_classified(models, monkeypatch):
    with held_up(models, monkeypatch, request_timeout=0.2) as (client, begun):
        refused = send(client, RED)
        assert problem(refused) == (503, "timed_out")
        assert refused.headers["Retry-After"]
    assert send(client, RED).status_code == 200
    assert len(begun) == 2  # the first photo and the last, but not the one that timed out


def test_no_photo_of_a_request_is_started_after_the_timeout(models, monkeypatch):
    with held_up(models, monkeypatch, request_timeout=0.3) as (client, begun):
        assert problem(send(client, *[RED] * 16)) == (503, "timed_out")
    assert len(begun) == 1


def test_a_request_takes_at_most_the_timeout_and_one_photo_s_time(models, monkeypatch):
    client, classify, clock = client_of(models, request_timeout=25), queue.classify, [0.0]

    def ten_seconds(predictor, job):
        clock[0] += 10
        return classify(predictor, job)

    monkeypatch.setattr(queue, "classify", ten_seconds)
    monkeypatch.setattr(queue, "monotonic", lambda: clock[0])
    assert kinds(send(client, *[RED] * 16)) == {"none": 3, "timed_out": 13}
    assert clock == [30.0]


def test_a_client_waits_for_one_photo_of_another_client_and_not_for_all(models, monkeypatch):
    client, classify, order = client_of(models), queue.classify, []
    begun, let_go = Event(), Event()

    def held_back(predictor, job):
        order.append("b" if job.with_heatmap else "a")
        begun.set()
        assert let_go.wait(30)
        return classify(predictor, job)

    monkeypatch.setattr(queue, "classify", held_back)
    waiting = client.application.extensions[QUEUE]
    with ThreadPoolExecutor(2) as threads:
        many = threads.submit(send, client, *[RED] * 20)
        assert begun.wait(30)
        job = Job(io.BytesIO(RED), with_heatmap=True)
        one = threads.submit(waiting.answer, [job], "another")
        wait_until(lambda: len(waiting._turns) == 21)
        let_go.set()
        assert isinstance(one.result()[0], Result)
        assert kinds(many.result()) == {"none": 20}
    assert order.index("b") <= 2


def test_a_client_gets_its_share_of_a_queue_that_another_client_has_filled(models, monkeypatch):
    with (
        ThreadPoolExecutor(2) as threads,
        held_up(models, monkeypatch, max_queue=32) as (client, _),
    ):
        waiting = client.application.extensions[QUEUE]
        many = threads.submit(send, client, *[RED] * 31)
        wait_until(lambda: len(waiting._turns) == 32)
        few = threads.submit(send, client, *[RED] * 16, address=OTHER)
        wait_until(lambda: list(waiting._turns._held().values()) == [16, 16])
        assert problem(send(client, RED)) == (503, "busy")
        assert problem(send(client, RED, address=OTHER)) == (503, "busy")
    assert kinds(many.result()) == {"none": 15, "busy": 16}  # the newest made room
    assert kinds(few.result()) == {"none": 16}


def test_the_metric_of_photos_in_flight_returns_to_zero(models, monkeypatch):
    def in_flight(client):
        text = client.get("/metrics").text
        return float(re.search(r"^car_damage_photos_in_flight (\S+)", text, re.MULTILINE)[1])

    with held_up(models, monkeypatch, request_timeout=0.2) as (client, _):
        assert in_flight(client) == 1
        send(client, *[RED] * 5)
    assert in_flight(client) == 0


def test_the_service_is_not_ready_while_it_is_stuck_on_a_photo(models, monkeypatch):
    monkeypatch.setattr(queue, "GRACE", 0.1)
    with held_up(models, monkeypatch, request_timeout=0.1) as (client, _):
        wait_until(lambda: client.application.extensions[QUEUE].stuck)
        assert problem(client.get("/ready")) == (503, "stuck")
        assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 200


def test_loading_the_model_may_take_longer_than_a_photo_but_has_a_limit(monkeypatch):
    let_go, now = Event(), monotonic()
    waiting = queue.PhotoQueue(let_go.wait, 32, 1, Metrics())
    monkeypatch.setattr(queue, "monotonic", lambda: now + 100)
    assert not waiting.stuck
    monkeypatch.setattr(queue, "monotonic", lambda: now + queue.LOADING + 1)
    assert waiting.stuck
    let_go.set()
    waiting.loading.result()
    assert not waiting.stuck


def test_refused_photos_take_no_room_in_the_queue(models):
    client = client_of(models, max_queue=32)
    for _ in range(3):
        send(client, *[b"no photo"] * 32)
    assert send(client, *[RED] * 32).status_code == 200
