"""Helpers for tests of the service: clients with a tiny model, forms, and checks of errors."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from car_damage.service.api import QUEUE
from car_damage.service.application import create_app
from car_damage.service.settings import Settings
from tests.photo_files import jpeg
from tests.tiny_model import plain_photo

RED = jpeg(plain_photo(red=True))
BLUE = jpeg(plain_photo(red=False))


def client_of(models: Path, version: str | None = None, **settings: Any) -> FlaskClient:
    """A client of a new application, after it has loaded its model or failed to."""
    app = create_app(Settings(**settings), models, version)
    app.extensions[QUEUE].loading.result()
    return app.test_client()


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Run the application on a free port of this computer and yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.port}/"
    server.shutdown()


def form(*photos: bytes, name: str = "car.jpg") -> dict[str, Any]:
    """A form with photos, as a browser sends it."""
    return {"image": [(io.BytesIO(photo), name) for photo in photos]}


def problem(response: TestResponse) -> tuple[int, str]:
    """Status and kind of an error, after a check that it follows RFC 9457."""
    body = response.json
    assert response.content_type == "application/problem+json"
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["title"]
    assert body["detail"].endswith(".")
    assert "Traceback" not in response.text
    return response.status_code, body["type"].removeprefix("/problems/")
