"""The application: everything put together."""

from functools import partial
from pathlib import Path

import flask_openapi3_swagger
from flask import Response, jsonify, render_template, send_from_directory
from flask_openapi3 import Info, OpenAPI

from car_damage import predictor
from car_damage.service import access, metrics, problems, telemetry
from car_damage.service.api import QUEUE, predictions_api, refusals, status_api
from car_damage.service.queue import PhotoQueue
from car_damage.service.schemas import ProblemDetails
from car_damage.service.settings import MAX_PHOTOS, Settings

API_VERSION = "1.0"
SWAGGER = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"


def create_app(settings: Settings, models: Path, version: str | None = None) -> OpenAPI:
    """The service for a version in `models`, the current one by default; loads it meanwhile."""
    app = OpenAPI(
        __name__,
        info=Info(title="Car damage classifier", version=API_VERSION),
        security_schemes={"key": {"type": "http", "scheme": "bearer"}},
        responses=refusals(400),
        validation_error_status=400,
        validation_error_model=ProblemDetails,
        validation_error_callback=problems.from_validation,
        doc_ui=False,
        static_folder="page",
        template_folder="page",
        static_url_path="/static",
    )
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_mb * problems.MIB
    app.config["MAX_FORM_MEMORY_SIZE"] = 100_000  # bytes that are no files: we use none
    app.config["MAX_FORM_PARTS"] = 2 * MAX_PHOTOS  # one above MAX_PHOTOS still gets its own words
    app.config["STOPPING"] = lambda: False  # for /ready; gunicorn.conf.py knows better
    # Answers keep the documented order.
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    app.extensions[metrics.EXTENSION] = metrics.Metrics()
    app.extensions[QUEUE] = PhotoQueue(
        partial(predictor.load, models, version, settings.graph_threads),
        settings.max_queue,
        settings.request_timeout,
        app.extensions[metrics.EXTENSION],
    )
    telemetry.init_app(app)
    access.init_app(app, settings, predictions_api)
    problems.init_app(app)
    app.register_api(predictions_api)
    app.register_api(status_api)
    # What is no part of the API: the page, and the document on the API
    app.add_url_rule("/", view_func=lambda: _page(settings), endpoint="page")
    app.add_url_rule("/docs", view_func=lambda: app.send_static_file("docs.html"), endpoint="docs")
    app.add_url_rule("/docs/<path:path>", view_func=_swagger_file, endpoint="swagger")
    app.add_url_rule("/openapi.json", view_func=lambda: jsonify(app.api_doc), endpoint="openapi")
    return app


def _page(settings: Settings) -> str:
    return render_template("index.html", max_upload_mb=settings.max_upload_mb)


def _swagger_file(path: str) -> Response:  # no partial: flask-limiter asks for a name
    return send_from_directory(SWAGGER, path)
