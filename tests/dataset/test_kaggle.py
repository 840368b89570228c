import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import kagglehub
import pytest
import requests

from car_damage.dataset import kaggle
from car_damage.dataset.find import find_photos
from car_damage.errors import UserError
from tests.photo_files import write_photos

HANDLE = "anujms/car-damage-detection/versions/1"
HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of kagglehub, and no network: only this machine's own address is known."""
    look_up = socket.getaddrinfo

    def look_up_here(host, *args, **kwargs):
        if host != HERE:
            raise socket.gaierror("name or service not known")
        return look_up(host, *args, **kwargs)

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("socket.getaddrinfo", look_up_here)
    return tmp_path / "cache"


def write_set(folder: Path) -> Path:
    for number, split in enumerate(("training", "validation")):
        write_photos(folder / "data1a" / split / "00-damage", 2, first_seed=10 * number)
        write_photos(folder / "data1a" / split / "01-whole", 3, first_seed=100 + 10 * number)
    return folder


def write_into_cache(cache: Path) -> Path:
    folder = write_set(cache / "datasets" / HANDLE)
    (folder.parents[1] / "1.complete").touch()
    return folder


@pytest.fixture
def site():
    """The address of a site that refuses every request."""

    class Refusal(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer((HERE, 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HERE}:{server.server_port}"
        server.shutdown()


def test_the_folders_of_the_kaggle_set_belong_to_our_classes(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(kaggle, "answers", lambda address, timeout: True)
    monkeypatch.setattr(
        kagglehub,
        "dataset_download",
        lambda handle: asked.append(handle) or str(write_set(tmp_path / "set")),
    )

    labels = [photo.label for photo in find_photos([kaggle.fetch()])]

    assert asked == [HANDLE]
    assert labels.count("damaged") == 4
    assert labels.count("not-damaged") == 6


def test_a_set_that_was_fetched_before_needs_no_network(cache):
    folder = write_into_cache(cache)
    assert kaggle.is_reachable()
    assert kaggle.fetch() == folder


def test_an_incomplete_download_does_not_count(cache):
    (write_into_cache(cache).parents[1] / "1.complete").unlink()
    assert not kaggle.is_reachable()


def test_without_a_network_the_error_says_what_to_do():
    with pytest.raises(UserError, match=r"Kaggle does not respond.*data/raw.*--sample"):
        kaggle.fetch()


@pytest.mark.parametrize(
    "failure",
    [
        requests.HTTPError("403 Client Error.\n\nYou have no permission"),
        OSError(28, "No space left on device"),
        ValueError("Unsupported archive type."),
    ],
)
def test_the_error_of_a_failed_download_has_the_reason_in_one_line(monkeypatch, failure):
    def fail(handle):
        raise failure

    monkeypatch.setattr(kaggle, "answers", lambda address, timeout: True)
    monkeypatch.setattr(kagglehub, "dataset_download", fail)
    with pytest.raises(UserError) as error:
        kaggle.fetch()
    assert str(failure).split()[-1] in str(error.value)
    assert "\n" not in str(error.value)


def test_a_refusal_counts_as_a_response(site):
    assert kaggle.answers(site, timeout=5)


def test_a_hanging_name_lookup_is_abandoned_in_time(monkeypatch):
    hanging = threading.Event()

    def hang(*args, **kwargs):
        hanging.wait(30)
        raise socket.gaierror("timed out")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    began = time.monotonic()
    try:
        assert not kaggle.answers("https://api.kaggle.com", timeout=0.2)
        assert time.monotonic() - began < 15  # half of what the look-up would take
    finally:
        hanging.set()
