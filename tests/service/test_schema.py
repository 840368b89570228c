"""schemathesis asks what /openapi.json allows and what it forbids, and checks every answer."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic.json_schema import GenerateJsonSchema
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.clients import RED, client_of, form

# A schema cannot say which bytes are a photo, and schemathesis does not take 413 for a refusal.
BEYOND_A_SCHEMA = [positive_data_acceptance, negative_data_rejection]

for media_type in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, st.just(RED))


@pytest.fixture
def api(models):
    return schemathesis.openapi.from_wsgi("/openapi.json", client_of(models).application)


# Not by its pytest plugin, which uses what pytest 9 no longer has.
def test_every_answer_is_one_that_the_document_announces(api):
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) == 5
    for operation in operations:
        ask_often(operation.as_strategy())


def test_what_the_document_forbids_is_refused_as_it_announces(api):
    ask_often(api["/predict"]["POST"].as_strategy(generation_mode=GenerationMode.NEGATIVE))


def test_no_schema_is_made_anew_while_a_photo_is_answered(models, monkeypatch):
    client = client_of(models)
    monkeypatch.setattr(GenerateJsonSchema, "generate", None)
    assert client.post("/predict?heatmap=true", data=form(RED)).status_code == 200


def ask_often(cases: st.SearchStrategy) -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(cases)
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=BEYOND_A_SCHEMA)

    ask()
