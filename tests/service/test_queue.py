"""What happens when more photos come than can be answered."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from car_damage.service import queue
from tests.clients import RED, client_of, form, problem


class HeldUp:
    """A service whose one photo thread is held up by `first`, a request, until it is let go."""

    def __init__(self, monkeypatch, models, **settings):
        self.client = client_of(models, **settings)
        self.worked_on = 0  # photos
        self._reached, self._opened = threading.Event(), threading.Event()
        classify = queue.classify

        def held_back(predictor, job):
            self.worked_on += 1
            self._reached.set()
            assert self._opened.wait(30)
            return classify(predictor, job)

        monkeypatch.setattr(queue, "classify", held_back)
        self.first = ThreadPoolExecutor(1).submit(self.send, RED)
        assert self._reached.wait(30)

    def send(self, *photos):
        return self.client.post("/predict", data=form(*photos))

    def let_go(self):
        self._opened.set()
        return self.first.result()


@pytest.fixture
def held_up(models, monkeypatch):
    started = []

    def start(**settings):
        started.append(HeldUp(monkeypatch, models, **settings))
        return started[0]

    yield start
    started[0].let_go()


def test_past_the_limit_photos_are_refused_at_once(held_up):
    service = held_up(max_queue=32)
    refused = service.send(*[RED] * 32)
    assert problem(refused) == (503, "busy")
    assert int(refused.headers["Retry-After"]) > 0
    assert service.let_go().status_code == 200
    assert service.worked_on == 1
    assert service.send(*[RED] * 32).status_code == 200


def test_a_photo_that_waited_for_too_long_is_not_worked_on_any_more(held_up):
    service = held_up(request_timeout=0.2)
    refused = service.send(RED)
    assert problem(refused) == (503, "timed_out")
    assert refused.headers["Retry-After"]
    assert service.let_go().status_code == 200  # its turn had come: late, but answered
    assert service.send(RED).status_code == 200
    assert service.worked_on == 2  # the one that held it up and the last: not the one between


def test_no_room_is_lost_to_photos_that_were_refused(models):
    client = client_of(models, max_queue=32)
    for _ in range(3):
        client.post("/predict", data=form(*[b"no photo"] * 32))
    assert client.post("/predict", data=form(*[RED] * 32)).status_code == 200
