"""Add the records to the service."""

from flask import g, request
from flask_openapi3 import OpenAPI
from sqlalchemy.exc import SQLAlchemyError

from car_damage.records import database
from car_damage.records.api import ENGINE, problem_of, records_api
from car_damage.service import access
from car_damage.service.problems import response_to
from car_damage.service.settings import Settings


def add_records(app: OpenAPI, settings: Settings, address: str) -> None:
    """Make `app` record its answers in the database at `address`, and add the routes for people."""
    app.extensions[ENGINE] = database.connect(address)
    app.before_request(lambda: _admit(settings))
    app.register_error_handler(SQLAlchemyError, lambda error: response_to(problem_of(error)))
    app.register_api(records_api)


def _admit(settings: Settings) -> None:
    """Refuse everybody who may not see records, before the body is read."""
    # A browser's CORS preflight (OPTIONS) has no key.
    if request.blueprint == records_api.name and request.method != "OPTIONS":
        g.caller = access.person(settings)
        g.client = g.caller.client
