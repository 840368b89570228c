"""The routes for records answer as /openapi.json says."""

import pytest
import schemathesis
from schemathesis import GenerationMode

from car_damage.records import api
from tests.records.answered import add_unsure, client_with, keep
from tests.service.test_schema import ask_often

RECORDS = ("/feedback", "/review", "/predictions")


@pytest.fixture
def document(models, engine, database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "WRITTEN_BY", 0)
    keep(engine, tmp_path / "kept")
    add_unsure(engine)
    client = client_with(models, database_url, keep_photos=str(tmp_path / "kept"))
    return schemathesis.openapi.from_wsgi("/openapi.json", client.application)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_about_records_matches_openapi_json(document, mode):
    found = [each.ok() for each in document.get_all_operations()]
    operations = [each for each in found if each.path.startswith(RECORDS)]
    assert len(operations) >= 6
    for operation in operations:
        ask_often(operation.as_strategy(generation_mode=mode))


def test_each_route_for_records_has_an_example_of_its_answer(document):
    for path, methods in document.raw_schema["paths"].items():
        for operation in methods.values():
            if path.startswith(("/feedback", "/review")) and "200" in operation["responses"]:
                content = operation["responses"]["200"]["content"]
                assert content["application/json"]["examples"], path
