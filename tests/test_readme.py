"""README's commands give the output that README shows, in a fresh clone."""

import csv
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

import data_preprocessing
import evaluate
import model_training
import predict
from car_damage import model_store, photos, predictor
from car_damage.predictor import Predictor
from scripts import pipeline
from tests.gunicorn_process import Service, free_port, started, wait_until
from tests.programs import program
from tests.test_documents import commands

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
LARGEST = 60_000  # bytes of an example
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = commands(README)
BLOCKS = re.findall(r"```bash\n([^`]+)```\s+```(?:text|json)\n([^`]+)```", README)
# The last command of each block that is followed by its output
SHOWN = [(commands(f"```bash\n{shell}```")[-1], output) for shell, output in BLOCKS]
PREDICTIONS = [pytest.param(*one, id=" ".join(one[0])) for one in SHOWN if "predict.py" in one[0]]
PARSERS = {
    "data_preprocessing.py": data_preprocessing.build_parser,
    "evaluate.py": evaluate.build_parser,
    "model_training.py": model_training.build_parser,
}
LITTLE = 0.02  # of a probability: processors round differently


@pytest.fixture(scope="module")
def included() -> Predictor:
    """The included model, whichever version is in use."""
    models = ROOT / "models" / model_store.PRETRAINED
    return predictor.load(models, model_store.versions(models)[-1])


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What a fresh clone needs to answer photos; no other version is in use there."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("car_damage", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    unused = shutil.ignore_patterns(model_store.KERAS_MODEL, "report.html")
    included = Path("models", model_store.PRETRAINED)
    shutil.copytree(ROOT / included, folder / included, ignore=unused)
    for name in ("app.py", "predict.py"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def service(clone) -> Iterator[Service]:
    """`python app.py`, on another port."""
    with running_app(clone, {}) as service:
        yield service


@pytest.fixture(scope="module")
def recording_service(clone) -> Iterator[Service]:
    """`python app.py` with the settings in front of it, on another port."""
    (command,) = (words for words in COMMANDS if words[0].startswith("DATABASE_URL="))
    assert command[2:] == ["python", "app.py"]
    (clone / "data").mkdir()
    with running_app(clone, dict(word.split("=", 1) for word in command[:2])) as service:
        yield service


@contextmanager
def running_app(clone: Path, settings: dict[str, str]) -> Iterator[Service]:
    """Run `python app.py` with these settings, on a free port."""
    port = free_port()
    environment = os.environ | settings | {"PORT": str(port)}
    options = {"cwd": clone, "env": environment, "stderr": subprocess.STDOUT}
    log = clone / f"log-{port}"
    with started([sys.executable, "app.py"], port, log, **options) as service:
        yield service


def output_of(*words: str) -> str:
    """The output that README shows below the command that starts with these words."""
    (output,) = (output for command, output in SHOWN if command[: len(words)] == list(words))
    return output


@pytest.mark.parametrize(
    ("name", "label", "review"),
    [("damaged", "damaged", False), ("undamaged", "not_damaged", False), ("not-sure", None, True)],
)
def test_the_included_model_answers_each_example_as_its_name_says(included, name, label, review):
    photo = photos.decode((EXAMPLES / f"{name}.jpg").read_bytes(), included.record.manifest.size)
    answer = included.predict(photo)
    assert (answer.review, answer.warnings) == (review, ())
    assert label in (None, answer.label)


def test_the_examples_are_small_and_there_are_no_others():
    sizes = {path.name: path.stat().st_size for path in EXAMPLES.iterdir()}
    assert sizes.keys() == {"damaged.jpg", "undamaged.jpg", "not-sure.jpg"}
    assert max(sizes.values()) <= LARGEST


@pytest.mark.parametrize(("words", "output"), PREDICTIONS)
def test_predicting_prints_what_readme_shows(clone, words, output):
    done = subprocess.run([sys.executable, *words[1:]], cwd=clone, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    printed, shown = (list(csv.DictReader(text.splitlines())) for text in (done.stdout, output))
    for row in (*printed, *shown):
        row["path"] = row["path"].replace("\\", "/")
        row["probability"] = pytest.approx(float(row["probability"]), abs=LITTLE)
    assert printed == shown


def test_the_service_starts_with_the_line_that_readme_shows(service):
    shown = output_of("python", "app.py").replace("5000", str(service.port))
    assert shown in service.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(("number", "name"), [(0, "service"), (1, "recording_service")])
def test_the_service_answers_curl_with_what_readme_shows(clone, request, number, name):
    service = request.getfixturevalue(name)
    command, output = [shown for shown in SHOWN if shown[0][0] == "curl"][number]
    words = [word.replace("5000", str(service.port)) for word in command[1:]]
    printed = subprocess.check_output([program("curl", "curl"), "-s", *words], cwd=clone, text=True)
    answer, shown = json.loads(printed), json.loads(output)
    for one in (answer, shown):
        one["probability"] = pytest.approx(one["probability"], abs=LITTLE)
        assert len(one.pop("request_id")) in (7, 32)  # README shows its beginning
        assert len(one.pop("prediction_id", "f" * 32)) == 32
    assert answer == shown


def test_the_not_sure_car_can_be_reviewed_as_readme_says(clone, recording_service):
    def post(path: str, body: dict[str, str]) -> Any:
        url = f"http://127.0.0.1:{recording_service.port}{path}"
        return requests.post(url, json=body, timeout=30).json()

    photo = (EXAMPLES / "not-sure.jpg").read_bytes()
    url = f"http://127.0.0.1:{recording_service.port}/predict"
    prediction_id = requests.post(url, data=photo, timeout=30).json()["prediction_id"]
    wait_until(lambda: post("/review/next", {"reviewer": "reviewer-1"})["photo"] is not None)
    shown = post("/review/next", {"reviewer": "reviewer-1"})["photo"]["prediction_id"]
    post(f"/review/{shown}", {"reviewer": "reviewer-1", "label": "damaged"})
    listed = requests.get(url.replace("/predict", "/predictions"), timeout=30).text
    rows = {row["prediction_id"]: row for row in csv.DictReader(listed.splitlines())}
    assert prediction_id in rows
    assert rows[shown]["label"] == "damaged"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_readme_has_only_commands_that_work(words):
    match words:
        case ["python3", "-m", "venv", ".venv"] | ["source", ".venv/bin/activate"]:
            pass  # below
        case ["pip", "install", "-r", file] | ["pytest", file]:
            assert (ROOT / file).is_file()
        case ["bash", "run_pipeline.sh", *options]:
            pipeline.options_of_both(options)
        case ["python", script, *options] if script in PARSERS:
            PARSERS[script]().parse_args(options)
        case ["python", "predict.py", place, *options] if place.startswith("s3://"):
            predict.check_options(predict.build_parser().parse_args([place, *options]))
        case ["curl", "-H", "Authorization: Bearer $KEY", *options]:
            assert ["curl", *options] in [command for command, _ in SHOWN]
        case ["python", "predict.py" | "app.py", *_] | ["curl", *_]:
            assert words in [command for command, _ in SHOWN] or words == ["python", "app.py"]
        case [database, photos_kept, "python", "app.py"] if database.startswith("DATABASE_URL="):
            assert photos_kept.startswith("KEEP_PHOTOS=")  # `recording_service`
        case ["docker" | "heroku", *_]:
            pass  # test_image.py and test_platforms.py
        case _:
            pytest.fail("no test runs this command")


@pytest.mark.skipif(sys.platform == "win32", reason="README has other commands for Windows")
def test_the_environment_is_made_and_used_as_readme_says(tmp_path):
    make, activate = dict.fromkeys(
        " ".join(words) for words in COMMANDS if ".venv" in " ".join(words)
    )
    make = make.replace("python3", sys.executable) + " --without-pip"  # which takes seconds
    script = f"{make} && {activate} && python -c 'import sys; print(sys.prefix)'"
    printed = subprocess.check_output(["bash", "-c", script], cwd=tmp_path, text=True)
    assert Path(printed.strip()).resolve() == (tmp_path / ".venv").resolve()


def test_every_option_in_a_sentence_of_readme_exists():
    parsers = [build() for build in PARSERS.values()]
    known = " ".join(parser.format_help() for parser in parsers)
    known += (ROOT / "run_pipeline.sh").read_text(encoding="utf-8")
    known += (ROOT / "predict.py").read_text(encoding="utf-8")
    for option in re.findall(r"`(?:[^`\n]* )?(--[\w-]+)[^`\n]*`", README):
        assert option in known
