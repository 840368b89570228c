"""The files by which platforms start the service: what they set exists, and fits 512 MB."""

import json
import re

import pytest
import yaml

from car_damage.errors import UserError
from car_damage.service.settings import VARIABLES, Settings, read
from tests.gunicorn_process import ROOT
from tests.test_dockerfile import stages


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def heroku_variables() -> dict[str, str]:
    """What the Deploy button sets."""
    env = json.loads(text_of("app.json"))["env"]
    assert env.keys() <= VARIABLES.keys()
    return {name: about["value"] for name, about in env.items() if "value" in about}


def render_variables() -> dict[str, str]:
    """What the blueprint sets."""
    (service,) = yaml.safe_load(text_of("render.yaml"))["services"]
    variables = {pair["key"]: pair["value"] for pair in service["envVars"]}
    assert variables.keys() <= VARIABLES.keys()
    return variables


@pytest.mark.parametrize("variables", [heroku_variables, render_variables])
def test_a_small_platform_gets_few_workers_and_a_short_queue(variables):
    chosen = read(variables())
    assert chosen.workers <= 2
    assert chosen.max_queue < Settings().max_queue


def test_on_heroku_a_photo_is_given_up_before_the_router_gives_the_request_up():
    assert read(heroku_variables()).request_timeout < 30
    assert read(heroku_variables()).trusted_proxies == 1


def test_heroku_builds_the_service_and_nothing_else():
    assert yaml.safe_load(text_of("heroku.yml")) == {
        "build": {"docker": {"web": {"dockerfile": "Dockerfile", "target": "serve"}}}
    }
    assert "serve" in stages()
    assert json.loads(text_of("app.json"))["stack"] == "container"


def test_render_builds_the_dockerfile_for_free_and_asks_whether_it_is_ready():
    (service,) = yaml.safe_load(text_of("render.yaml"))["services"]
    assert service.items() >= {
        ("type", "web"),
        ("runtime", "docker"),
        ("plan", "free"),
        ("healthCheckPath", "/ready"),
    }


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md"])
def test_what_is_typed_for_heroku_sets_the_same_as_the_deploy_button(document):
    (command,) = re.findall(r"heroku config:set ((?:.*\\\n)*.*)$", text_of(document), re.M)
    assert dict(re.findall(r"([A-Z_]+)=(\S+)", command)) == heroku_variables()


def test_every_variable_is_told_with_its_default():
    document = text_of("docs/operations.md")
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", document, re.MULTILINE))
    assert told.keys() == VARIABLES.keys()
    defaults = Settings()
    for variable, (field, _) in VARIABLES.items():
        value = getattr(defaults, field)
        if field != "workers" and value not in ((), None):
            assert told[variable].strip("`") == str(value), variable


def test_every_number_is_told_with_its_bounds():
    document = text_of("docs/operations.md")
    told = re.findall(r"^\| `([A-Z_]+)` \| .*? \| ([\d,]+) to ([\d,]+) \|", document, re.MULTILINE)
    numbers = {
        name for name, (field, _) in VARIABLES.items() if type(getattr(Settings(), field)) is int
    }
    assert {name for name, _, _ in told} == numbers
    for name, *bounds in told:
        least, most = (int(bound.replace(",", "")) for bound in bounds)
        for allowed in (least, most):
            read({name: str(allowed)})
        for refused in (least - 1, most + 1):
            with pytest.raises(UserError, match=name):
                read({name: str(refused)})


def test_nothing_but_the_settings_reads_the_environment():
    """Else a variable could be missing from the table."""
    readers = [
        path.relative_to(ROOT).as_posix()
        for path in [ROOT / "app.py", ROOT / "gunicorn.conf.py", *ROOT.glob("car_damage/**/*.py")]
        if re.search(r"environ\.get|getenv|environ\[(?!metrics)", path.read_text(encoding="utf-8"))
    ]
    assert readers == ["car_damage/service/probe.py"]  # PORT, which the image always has
