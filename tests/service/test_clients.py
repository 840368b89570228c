"""docs/clients.md: its code examples, taken from the document, run unchanged."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from playwright.sync_api import expect, sync_playwright

from car_damage.service.settings import Key
from tests.clients import BLUE, RED, client_of, serving
from tests.programs import program

DOCUMENT = (Path(__file__).parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
KEY = "a-key-of-the-suite"
BAD = "photo-05.jpg"
EXPECTED = {f"photo-{number:02}.jpg": "not_damaged" for number in range(32)} | {
    BAD: "The file is not a",
    "photo-32.jpg": "damaged",  # alone in the second chunk
}


def snippets(language: str, heading: str) -> list[str]:
    """The code blocks in this language under a heading of the document."""
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


class Busy:
    """An application that refuses the first two requests with photos, as if it were busy."""

    def __init__(self, app: Flask):
        self._app = app.wsgi_app
        self.refusals = ["503 SERVICE UNAVAILABLE", "429 TOO MANY REQUESTS"]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] != "POST" or not self.refusals:
            return self._app(environ, start_response)
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        origin = environ.get("HTTP_ORIGIN", "*")
        start_response(
            self.refusals.pop(0),
            [
                ("Retry-After", "0"),
                ("Content-Type", "application/problem+json"),
                ("Access-Control-Allow-Origin", origin),
            ],
        )
        return [b'{"detail": "Too many photos are waiting."}']


@contextmanager
def busy_service(models: Path, **settings: Any) -> Iterator[str]:
    """Run a service that refuses twice and yield its address. Its client must try again twice."""
    app = client_of(models, **settings).application
    app.wsgi_app = busy = Busy(app)
    with serving(app) as address:
        yield address.rstrip("/")
    assert not busy.refusals


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a photo of a car, and 33 files of which one is not a photo."""
    (tmp_path / "car.jpg").write_bytes(RED)
    (tmp_path / "photos").mkdir()
    photos = {"damaged": RED, "not_damaged": BLUE}
    for name, prediction in EXPECTED.items():
        (tmp_path / "photos" / name).write_bytes(photos.get(prediction, b"no photo"))
    return tmp_path


def output(command: list[str], folder: Path, **variables: str) -> str:
    """Run a command in `folder` and return its output."""
    environment = os.environ | variables
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_expected(lines: str) -> None:
    answers = dict(line.split(" ", 1) for line in lines.splitlines())
    assert list(answers) == sorted(EXPECTED)
    assert all(answers[name].startswith(answer) for name, answer in EXPECTED.items())


def at(address: str, snippet: str) -> str:
    """The snippet with the service's real address."""
    assert "http://localhost:5000" in snippet
    return snippet.replace("http://localhost:5000", address)


@pytest.mark.skipif(sys.platform == "win32", reason="its lines are for a POSIX shell")
def test_the_curl_commands_run(models, folder):
    program("curl", "curl")
    *single, chunked = snippets("bash", "curl")
    with serving(client_of(models).application) as address:
        for snippet in single:
            for line in at(address.rstrip("/"), snippet).splitlines():
                answer = output(["bash", "-c", line], folder, KEY=KEY)
                assert json.loads(answer)["prediction"] == "damaged", line
    with busy_service(models) as address:
        answers = output(["bash", "-c", at(address, chunked)], folder)
    chunks = [json.loads(line) for line in answers.splitlines() if line]
    items = [item for chunk in chunks for item in chunk["predictions"]]
    assert_expected("\n".join(f"{i['file']} {i.get('prediction', i.get('detail'))}" for i in items))


def test_the_python_code_with_requests_runs(models, folder):
    one, chunked = snippets("python", "Python: requests")
    with serving(client_of(models).application) as address:
        said = output([sys.executable, "-c", at(address.rstrip("/"), one)], folder)
    assert said == "damaged\n"
    with busy_service(models) as address:
        assert_expected(output([sys.executable, "-c", at(address, chunked)], folder))


def test_the_chunks_of_a_folder_stay_under_the_upload_limit(models, folder):
    for photo in (folder / "photos").iterdir():
        photo.write_bytes(photo.read_bytes().ljust(400_000, b"\0"))
    program("node", "nodejs")
    python = [sys.executable, "-c", snippets("python", "Python: requests")[1]]
    node = ["node", "--input-type=module", "-e", snippets("javascript", "JavaScript: Node")[0]]
    for *start, snippet in (python, node):
        with busy_service(models) as address:
            assert_expected(output([*start, at(address, snippet)], folder))


def test_the_python_code_with_httpx_runs(models, folder):
    (snippet,) = snippets("python", "Python: httpx")
    with busy_service(models) as address:
        assert output([sys.executable, "-c", at(address, snippet)], folder) == "damaged\n"


def test_the_javascript_code_for_node_runs(models, folder):
    (snippet,) = snippets("javascript", "JavaScript: Node")
    with busy_service(models) as address:
        (folder / "ask.mjs").write_text(at(address, snippet), encoding="utf-8")
        assert_expected(output([program("node", "nodejs"), "ask.mjs"], folder))


def test_the_javascript_code_for_browsers_runs_on_another_site(models, folder):
    (snippet,) = snippets("html", "JavaScript: browser")
    chromium = program("chromium", "chromium")
    site = Flask("site")
    with serving(site) as page_address, sync_playwright() as playwright:
        origin = page_address.rstrip("/")
        with busy_service(models, cors_origins=(origin,)) as address:
            site.add_url_rule("/", view_func=lambda: at(address, snippet))
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(page_address)
            page.get_by_label("Photos").set_input_files(
                [folder / "car.jpg", folder / "photos" / BAD]
            )
            expect(page.get_by_role("listitem").first).to_have_text("car.jpg: damaged")
            expect(page.get_by_role("listitem").last).to_contain_text(f"{BAD}: The file is not a")
            browser.close()


def test_the_powershell_code_runs(models, folder):
    one, chunked = snippets("powershell", "PowerShell")
    powershell = shutil.which("pwsh")
    if not powershell:
        pytest.skip("needs pwsh, which Debian does not have")
    with serving(client_of(models).application) as address:
        said = output([powershell, "-Command", at(address.rstrip("/"), one)], folder)
    assert said.startswith("damaged ")
    with busy_service(models) as address:
        assert_expected(output([powershell, "-Command", at(address, chunked)], folder))


def test_the_step_for_no_code_tools_works(models):
    (snippet,) = snippets("json", "No-code tools")
    with serving(client_of(models, api_keys=(Key("clerk", KEY),)).application) as address:
        text = at(address.rstrip("/"), snippet).replace("KEY", KEY)
        step = json.loads(text.replace("PHOTO_IN_BASE64", base64.b64encode(RED).decode()))
        response = requests.request(
            step["method"], step["url"], headers=step["headers"], json=step["body"], timeout=60
        )
    assert response.json()["prediction"] == "damaged"
