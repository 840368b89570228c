"""schemathesis sends requests that /openapi.json allows or forbids, and checks every answer."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic.json_schema import GenerateJsonSchema
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.clients import RED, client_of, form

# A schema cannot describe the bytes of a photo. schemathesis does not accept 413 as a rejection.
BEYOND_A_SCHEMA = [positive_data_acceptance, negative_data_rejection]

for media_type in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, st.just(RED))


@pytest.fixture
def api(models):
    return schemathesis.openapi.from_wsgi("/openapi.json", client_of(models).application)


# Without its pytest plugin, which does not work with pytest 9.
def test_every_answer_matches_openapi_json(api):
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) == 5
    for operation in operations:
        ask_often(operation.as_strategy())


def test_requests_that_openapi_json_forbids_get_a_documented_error(api):
    ask_often(api["/predict"]["POST"].as_strategy(generation_mode=GenerationMode.NEGATIVE))


def test_no_request_generates_a_schema_again(models, monkeypatch):
    client = client_of(models)
    monkeypatch.setattr(GenerateJsonSchema, "generate", None)
    assert client.post("/predict?heatmap=true", data=form(RED)).status_code == 200


def ask_often(cases: st.SearchStrategy) -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(cases)
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=BEYOND_A_SCHEMA)

    ask()
