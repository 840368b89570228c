"""The whole circle: a model, drift, people's labels, and a better model, without a pause."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from playwright.sync_api import Browser, Page, expect

import data_preprocessing
import drift_check
import model_training
import retrain
from car_damage import model_store, photos, predictor
from tests.gunicorn_process import ROOT, Service, running, wait_until
from tests.project import in_project, move_project
from tests.service.test_page import browser
from tests.simple_cars import photo_of

__all__ = ["browser"]  # the fixture
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="gunicorn's worker looks at /proc"),
]

CARS = 680  # of each class; with fewer test photos, chance decides whether the new model is used
NORMAL = 1000  # photos like those in training, which come first
SHIFTED = 240  # darkened photos, which come later
DARK = 0.3  # of the light
BY_HAND = 12  # photos that are reviewed in the browser
OTHERS = 400  # photos that no model has seen
A_POINT = 0.01
KEYS = {True: "d", False: "n"}
WORDS = {True: "damaged", False: "not_damaged"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """A project with drawn cars and a first model, which has never seen a dark photo."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as monkeypatch:
        move_project(monkeypatch, folder)
        for damaged, name in ((True, "damaged"), (False, "not-damaged")):
            (folder / "data/raw" / name).mkdir(parents=True)
            for seed in range(CARS):
                path = folder / "data/raw" / name / f"{seed}_car.jpg"
                path.write_bytes(photo_of(seed, damaged))
        data_preprocessing.main(["--size", "64", "--split", "60", "15", "25"])
        model_training.main(["--backbone", "tiny", "--weights", "none", "--epochs", "10"])
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{folder / 'records.db'}")
        monkeypatch.setenv("KEEP_PHOTOS", str(folder / "kept"))
        yield folder


@pytest.fixture
def service(project, tmp_path) -> Iterator[Service]:
    """The service in production, which records its answers and keeps the photos."""
    with running(project, tmp_path, WEB_CONCURRENCY="1", AUDIT_SHARE="0.3") as service:
        yield service


@pytest.fixture
def page(browser: Browser, service) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def send(service: Service, first: int, count: int, light: float = 1.0) -> dict[str, bool]:
    """Send photos of different cars. Returns the truth about each prediction_id."""
    truths = {}
    for seed in range(first, first + count):
        damaged = seed % 2 == 1
        status, answer = service.ask("/predict", photo_of(seed, damaged, light))
        assert status == 200
        truths[answer["prediction_id"]] = damaged
    return truths


def give_feedback(service: Service, prediction_id: str, damaged: bool) -> None:
    """Send what a photo shows, as a client does."""
    body = json.dumps({"prediction_id": prediction_id, "label": WORDS[damaged]})
    connection = service.connection()
    connection.request("POST", "/feedback", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


def review(page: Page, service: Service, truths: dict[str, bool], count: int) -> set[str]:
    """Review photos with the keys, as a person who sees what they show. Returns their ids."""
    reviewed = set()
    with page.expect_response("**/review/next") as response:
        page.goto(f"http://127.0.0.1:{service.port}/review")
    for _ in range(count):
        shown = response.value.json()["photo"]
        expect(page.locator("#photo")).to_have_attribute("aria-busy", "false")
        with page.expect_response("**/review/next") as response:
            page.keyboard.press(KEYS[truths[shown["prediction_id"]]])
            if shown["audit"]:
                page.get_by_role("button", name="Next photo").click()
        reviewed.add(shown["prediction_id"])
    return reviewed


def accuracy(project: Path, version: str, first: int, light: float = 1.0) -> float:
    """The share of new photos about which a version is right."""
    model = predictor.load(project / "models", version)
    right = [
        (model.predict(photos.decode(photo_of(seed, damaged, light))).label == WORDS[damaged])
        for seed in range(first, first + OTHERS)
        for damaged in (seed % 2 == 1,)
    ]
    return sum(right) / OTHERS


def kill_in_training(project: Path, options: Sequence[str]) -> None:
    """Start retraining in its own process, and kill it during its first epochs."""
    code = f"import retrain; sys.exit(exit_code(lambda: retrain.main({list(options)!r})))"
    command = in_project(project, code)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert any(line.startswith("epoch 1 ") for line in process.stdout)
        process.send_signal(signal.SIGKILL)


def versions_seen(service: Service, until: Event) -> set[tuple[int, str]]:
    """Send photos without a pause; return the status codes and the versions that answered."""
    seen = set()
    photo = photo_of(1, damaged=True)
    while not until.is_set():
        status, answer = service.ask("/predict", photo)
        seen.add((status, answer.get("model_version", "")))
    return seen


def take_up(service: Service, first: str, second: str) -> None:
    """Reload the service while a client sends photos; every one gets an answer."""
    over = Event()
    with ThreadPoolExecutor(1) as threads:
        client = threads.submit(versions_seen, service, over)
        before = service.workers()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not before & service.workers() and service.is_ready())
        wait_until(lambda: service.ask("/model")[1]["version"] == second)
        over.set()
        assert client.result() == {(200, first), (200, second)}


def test_drift_is_noticed_and_labels_from_the_review_make_a_better_model_without_a_refused_request(
    project, service, page, capsys
):
    models = project / "models"
    first = model_store.current(models)
    truths = send(service, 10_000, NORMAL)
    wait_until(lambda: f"records_written_total {NORMAL}.0" in service.metrics())
    drift_check.main(["--accept"])
    shifted = send(service, 20_000, SHIFTED, DARK)
    wait_until(lambda: f"records_written_total {NORMAL + SHIFTED}.0" in service.metrics())
    with pytest.raises(SystemExit) as ended:
        drift_check.main(["--since", "1d"])
    assert ended.value.code == drift_check.DRIFT
    assert "brightness" in capsys.readouterr().out.lower()
    assert accuracy(project, first, 30_000) > 0.8
    assert accuracy(project, first, 30_000, DARK) < 0.7

    reviewed = review(page, service, truths | shifted, BY_HAND)
    for prediction_id in shifted.keys() - reviewed:
        give_feedback(service, prediction_id, shifted[prediction_id])

    options = ["--epochs", "12"]
    kill_in_training(project, options)
    assert model_store.versions(models) == [first] == [model_store.load_record(models).version]
    retrain.main(options)
    said = capsys.readouterr().out
    second = model_store.current(models)
    assert second != first, said
    assert "held-out labelled photos from the service" in said
    assert accuracy(project, second, 30_000, DARK) > accuracy(project, first, 30_000, DARK) + 0.1
    assert accuracy(project, second, 30_000) >= accuracy(project, first, 30_000) - A_POINT

    take_up(service, first, second)

    retrain.main([])
    assert "Nothing was trained" in capsys.readouterr().out
    assert os.listdir(project / "data" / "retraining") == ["feedback.csv"]
