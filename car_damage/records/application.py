"""Add the records to the service."""

from functools import partial

from flask import g, redirect, render_template, request
from flask_openapi3 import OpenAPI
from sqlalchemy.exc import SQLAlchemyError

from car_damage.records import (  # some only have routes
    database,
    feedback,  # noqa: F401
    kept_photos,
    review,  # noqa: F401
    store,
    summary,  # noqa: F401
    upkeep,
)
from car_damage.records.api import ENGINE, PHOTOS, problem_of, records_api
from car_damage.records.drift import DriftMetrics
from car_damage.records.kept_photos import KeptPhotos, PhotosUnavailable
from car_damage.records.metrics import RecordMetrics
from car_damage.records.outages import outage_in
from car_damage.records.recorder import Recorder
from car_damage.records.writer import Writer
from car_damage.service import access
from car_damage.service.metrics import EXTENSION
from car_damage.service.problems import Problem, response_to
from car_damage.service.recording import RECORDER
from car_damage.service.settings import Settings

LONGEST_BODY = 10_000  # bytes; parsed JSON takes several times its length in memory


def prepare(settings: Settings) -> None:
    """Check the database and the place of the photos before the service starts.

    Creates the tables of an SQLite file. Raises `UserError`.
    """
    if settings.database_url is not None:
        database.prepare(settings.database_url)
    if settings.keep_photos is not None:
        kept_photos.check(settings.keep_photos)


def add_records(app: OpenAPI, settings: Settings) -> None:
    """Make `app` record its answers, and add the routes for people. Needs a DATABASE_URL."""
    engine = database.connect(settings.database_url or "")
    lookups = database.connect_to_look_up(settings.database_url or "")
    photos = None if settings.keep_photos is None else KeptPhotos(settings.keep_photos)
    registry = app.extensions[EXTENSION].registry
    metrics = RecordMetrics(registry)
    writer = Writer(partial(store.write, engine, photos), outage_in, metrics)
    upkeep.start(engine, photos, settings.retention_days)
    DriftMetrics(registry).keep_reading(engine)
    app.extensions[ENGINE] = engine
    app.extensions[PHOTOS] = photos
    app.extensions[RECORDER] = Recorder(lookups, writer, settings, metrics)
    app.before_request(lambda: _admit(settings))
    for unavailable in (SQLAlchemyError, PhotosUnavailable):
        app.register_error_handler(unavailable, lambda error: response_to(problem_of(error)))
    app.register_api(records_api)
    app.add_url_rule("/review", "review", lambda: _review_page(settings))
    # The page's links are relative, so it works only without the slash.
    app.add_url_rule("/review/", "review_folder", lambda: redirect("../review", 308))


def _review_page(settings: Settings) -> str:
    """Return the page for reviews. It needs no key, because it contains no records."""
    return render_template("review.html", keeps_photos=settings.keep_photos is not None)


def _admit(settings: Settings) -> None:
    """Refuse everybody who may not see records, before the body is read."""
    # A browser's CORS preflight (OPTIONS) has no key.
    if request.blueprint != records_api.name or request.method == "OPTIONS":
        return
    g.caller = access.person(settings)
    g.client = g.caller.client
    request.max_content_length = LONGEST_BODY
    try:
        request.get_json(silent=True)  # the routes get the same object again
    except RecursionError:
        raise Problem("bad_request", "The JSON has too many levels.") from None
