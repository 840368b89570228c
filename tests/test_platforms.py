"""Heroku and Render: their files and the docs set what the service reads, and it fits 512 MB."""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from benchmarks.service import memory
from car_damage.errors import UserError
from car_damage.service.settings import VARIABLES, Settings, read
from tests.gunicorn_process import ROOT, running
from tests.photo_files import jpeg, texture

REQUESTS = 2000
CLIENTS = 8
BETWEEN = 50  # requests of a client from one phone's photo to the next: it takes the most memory
MEMORY = 400  # MB; the rest of 512 is for the system's cache and for surprises


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


HEROKU = {
    name: about["value"]
    for name, about in json.loads(text_of("app.json"))["env"].items()
    if "value" in about
}
(service,) = yaml.safe_load(text_of("render.yaml"))["services"]
RENDER = {pair["key"]: pair["value"] for pair in service["envVars"]}
# Each row of the table of settings: name, default and allowed values
ROW = re.compile(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|", re.MULTILINE)
TABLE = {name: row for name, *row in ROW.findall(text_of("docs/settings.md"))}
DEFAULTS = {name: getattr(Settings(), name.lower()) for name in VARIABLES}


@pytest.mark.parametrize("variables", [HEROKU, RENDER])
def test_a_small_platform_gets_only_settings_that_exist_and_a_shorter_queue(variables):
    assert variables.keys() <= VARIABLES.keys()
    assert read(variables).max_queue < Settings().max_queue


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_thousand_requests_on_a_heroku_dyno_need_less_than_400_mb(tmp_path):
    photos = [jpeg(texture(seed, 320, 240)) for seed in range(16)]
    from_phone = jpeg(texture(0, 4000, 3000))
    peak = 0.0
    assert read(HEROKU).request_timeout < 30  # when Heroku's router ends a request
    with running(ROOT, tmp_path, DYNO="web.1", **HEROKU) as service:

        def status(number: int) -> int:
            at = sum(divmod(number, CLIENTS))
            photo = from_phone if at % BETWEEN == 0 else photos[at % len(photos)]
            return service.ask("/predict", photo)[0]

        with ThreadPoolExecutor(CLIENTS) as clients:
            for number, code in enumerate(clients.map(status, range(REQUESTS))):
                assert code == 200
                if number % (5 * CLIENTS) == 0:
                    peak = max(peak, memory(service.process.pid))
        assert len(service.workers()) == int(HEROKU["WEB_CONCURRENCY"])
        assert service.stop() == 0
    assert peak < MEMORY


@pytest.mark.parametrize("document", ["README.md", "docs/deploying.md"])
def test_the_heroku_commands_set_the_same_as_the_deploy_button(document):
    (command,) = re.findall(r"heroku config:set ((?:.*\\\n)*.*)$", text_of(document), re.M)
    assert dict(re.findall(r"([A-Z_]+)=(\S+)", command)) == HEROKU


def test_the_table_of_settings_has_each_variable_with_its_default():
    assert TABLE.keys() == VARIABLES.keys()
    for name, default in DEFAULTS.items():
        if name != "WEB_CONCURRENCY" and default not in ((), None):
            assert TABLE[name][0].strip("`") == str(default), name


@pytest.mark.parametrize("name", [name for name in DEFAULTS if type(DEFAULTS[name]) is int])
def test_the_table_of_settings_has_each_number_s_bounds(name):
    least, most = (int(bound.replace(",", "")) for bound in TABLE[name][1].split(" to "))
    for allowed in (least, most):
        read({name: str(allowed)})
    for refused in (least - 1, most + 1):
        with pytest.raises(UserError, match=name):
            read({name: str(refused)})
