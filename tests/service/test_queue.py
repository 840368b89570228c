"""What happens when more photos come than can be answered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from flask.testing import FlaskClient

from car_damage.service import queue
from tests.clients import RED, client_of, form, problem
from tests.gunicorn_process import wait_until


def send(client, *photos):
    return client.post("/predict", data=form(*photos))


@contextmanager
def held_up(models, monkeypatch, **settings) -> Iterator[tuple[FlaskClient, list[queue.Job]]]:
    """A client whose service is held up by a first photo, and the photos that it has begun."""
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
    assert first.result().status_code == 200  # its turn had come: perhaps late, but answered


def test_past_the_limit_photos_are_refused_at_once(models, monkeypatch):
    with held_up(models, monkeypatch, max_queue=32) as (client, begun):
        refused = send(client, *[RED] * 32)
        assert problem(refused) == (503, "busy")
        assert int(refused.headers["Retry-After"]) > 0
    assert len(begun) == 1
    assert send(client, *[RED] * 32).status_code == 200


def test_a_photo_that_waited_for_too_long_is_not_worked_on_any_more(models, monkeypatch):
    with held_up(models, monkeypatch, request_timeout=0.2) as (client, begun):
        refused = send(client, RED)
        assert problem(refused) == (503, "timed_out")
        assert refused.headers["Retry-After"]
    assert send(client, RED).status_code == 200
    assert len(begun) == 2  # the one that held it up and the last: not the one between


def test_no_room_is_lost_to_photos_that_were_refused(models):
    client = client_of(models, max_queue=32)
    for _ in range(3):
        send(client, *[b"no photo"] * 32)
    assert send(client, *[RED] * 32).status_code == 200
