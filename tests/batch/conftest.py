"""What the tests of batch prediction share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _log_records() -> Iterator[None]:
    """Take back what Ray adds to every log record of a process that imports it."""
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)
