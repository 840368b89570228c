"""What happens when more photos come than can be answered."""

import threading

import pytest

from car_damage.service import queue
from tests.clients import RED, client_of, form, problem


class Gate:
    """Holds the first photo back until it is opened; counts the photos that were worked on."""

    def __init__(self, monkeypatch):
        self.reached, self.opened, self.worked_on = threading.Event(), threading.Event(), 0
        classify = queue.classify

        def held_back(predictor, job):
            self.worked_on += 1
            self.reached.set()
            assert self.opened.wait(30)
            return classify(predictor, job)

        monkeypatch.setattr(queue, "classify", held_back)


@pytest.fixture
def busy(models, monkeypatch):
    """A function that starts a service whose one photo thread is held up; gives client and gate."""
    started = []

    def start(**settings):
        client = client_of(models, **settings)
        gate = Gate(monkeypatch)
        answers = []
        held = threading.Thread(
            target=lambda: answers.append(client.post("/predict", data=form(RED)))
        )
        held.start()
        assert gate.reached.wait(30)
        started.append((gate, held))
        return client, gate, answers, held

    yield start
    for gate, held in started:
        gate.opened.set()
        held.join()


def test_past_the_limit_photos_are_refused_at_once(busy):
    client, gate, answers, held = busy(max_queue=32)
    response = client.post("/predict", data=form(*[RED] * 32))
    assert problem(response) == (503, "busy")
    assert int(response.headers["Retry-After"]) > 0
    gate.opened.set()
    held.join()
    assert answers[0].status_code == 200
    assert gate.worked_on == 1
    assert client.post("/predict", data=form(*[RED] * 32)).status_code == 200


def test_a_photo_that_waited_for_too_long_is_not_worked_on_any_more(busy):
    client, gate, _, held = busy(request_timeout=0.2)
    response = client.post("/predict", data=form(RED))
    assert problem(response) == (503, "timed_out")
    assert response.headers["Retry-After"]
    gate.opened.set()
    held.join()
    assert client.post("/predict", data=form(RED)).status_code == 200
    assert gate.worked_on == 2  # the one that held it up and the last: not the one between


def test_a_photo_whose_turn_had_come_is_answered_even_if_late(busy):
    _, gate, answers, held = busy(request_timeout=0.2)
    threading.Timer(0.5, gate.opened.set).start()
    held.join()
    assert answers[0].status_code == 200


def test_no_room_is_lost_to_photos_that_were_refused(models):
    client = client_of(models, max_queue=32)
    for _ in range(3):
        client.post("/predict", data=form(*[b"no photo"] * 32))
    assert client.post("/predict", data=form(*[RED] * 32)).status_code == 200
