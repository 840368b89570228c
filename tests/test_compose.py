"""deploy/compose.yaml: the service reaches its database and may write photos, but needs a key."""

import re
from urllib.parse import urlsplit

import yaml

from tests.gunicorn_process import ROOT

SERVICES = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))["services"]
DATABASE, MIGRATE, SERVICE = (SERVICES[name] for name in ("database", "migrate", "car-damage"))


def test_the_service_has_the_database_s_address_and_password():
    url = urlsplit(SERVICE["environment"]["DATABASE_URL"])
    made = DATABASE["environment"]
    assert SERVICES[url.hostname] is DATABASE
    assert (url.username, url.password) == (made["POSTGRES_USER"], made["POSTGRES_PASSWORD"])
    assert url.path == f"/{made['POSTGRES_DB']}"


def test_only_the_service_is_reachable_and_only_from_this_computer():
    assert [name for name, about in SERVICES.items() if "ports" in about] == ["car-damage"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICE["ports"])


def test_the_service_starts_after_the_migrations_of_the_same_database():
    assert MIGRATE["environment"] == SERVICE["environment"]
    assert MIGRATE["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert SERVICE["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_photos_go_to_a_volume_that_the_image_s_user_may_write_to():
    folder = SERVICE["environment"]["KEEP_PHOTOS"]
    assert f"photos:{folder}" in SERVICE["volumes"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    user = re.search(r"^FROM \S+ AS serve$.*?^USER (\S+)$", dockerfile, re.MULTILINE | re.DOTALL)[1]
    assert f"COPY --from=app --chown={user} {folder} {folder}\n" in dockerfile


def test_a_missing_key_stops_compose_with_a_sentence():
    message = re.fullmatch(r"\$\{API_KEYS:\?(.+)\}", SERVICE["environment"]["API_KEYS"])[1]
    assert message == "Make a key as the first lines of deploy/compose.yaml say"
