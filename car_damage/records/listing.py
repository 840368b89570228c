"""List predictions as CSV, page by page, so that any number of them takes little room.

A page is read only when the client has taken the one before (`service/http_server.py`).
"""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, select, tuple_

from car_damage.records.tables import feedback, predictions

PAGE = 1000  # rows of one query; between queries no transaction stays open
ORDER = predictions.c.time, predictions.c.number
COLUMNS = {
    "prediction_id": predictions.c.id,
    "time": predictions.c.time,
    "key": predictions.c.owner,
    "model_version": predictions.c.model_version,
    "sha256": predictions.c.sha256,
    "width": predictions.c.width,
    "height": predictions.c.height,
    "brightness": predictions.c.brightness,
    "sharpness": predictions.c.sharpness,
    "prediction": predictions.c.prediction,
    "probability": predictions.c.probability,
    "review": predictions.c.review,
    "warnings": predictions.c.warnings,
    "label": feedback.c.label,
}


def csv_of(engine: Engine, visible: ColumnElement[bool], since: datetime | None) -> Iterator[str]:
    """Return blocks of CSV with the visible predictions, oldest first.

    The first block is read at once. So if the database is gone, the exception comes before the
    answer has begun.
    """
    chosen = _chosen(visible, since)
    first = _page(engine, chosen)
    return _blocks(engine, chosen, first)


def _chosen(visible: ColumnElement[bool], since: datetime | None) -> Select[*tuple[Any, ...]]:
    """Select the first page of the list, in the order of both indexes that have a time."""
    chosen = select(predictions.c.number, *(column.label(name) for name, column in COLUMNS.items()))
    chosen = chosen.outerjoin(feedback).where(visible).order_by(*ORDER).limit(PAGE)
    return chosen if since is None else chosen.where(predictions.c.time >= since)


def _after(
    chosen: Select[*tuple[Any, ...]], last: Row[*tuple[Any, ...]]
) -> Select[*tuple[Any, ...]]:
    """Select the page after the one that ends with this row."""
    return chosen.where(tuple_(*ORDER) > (last.time, last.number))


def _blocks(
    engine: Engine, chosen: Select[*tuple[Any, ...]], page: Sequence[Row[*tuple[Any, ...]]]
) -> Iterator[str]:
    yield _text([tuple(COLUMNS)])
    while page:
        yield _text([[_cell(value) for value in row[1:]] for row in page])
        page = _page(engine, _after(chosen, page[-1]))


def _page(engine: Engine, chosen: Select[*tuple[Any, ...]]) -> Sequence[Row[*tuple[Any, ...]]]:
    with engine.connect() as connection:
        return connection.execute(chosen).all()


def _cell(value: Any) -> Any:
    """Return a value as the API's JSON has it: ISO 8601 for times, true and false in lower case."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else value


def _text(rows: Sequence[Sequence[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
