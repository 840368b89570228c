"""schemathesis asks what /openapi.json allows and forbids, and holds each answer against it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.clients import RED, client_of

schemathesis.openapi.media_type("image/*", st.just(RED))


@pytest.fixture
def api(models):
    return schemathesis.openapi.from_wsgi("/openapi.json", client_of(models).application)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_answer_is_one_that_the_document_announces(case):
    case.call_and_validate()
