"""Create the Flask application from all of its parts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import flask_openapi3_swagger
from flask import Response, jsonify, redirect, render_template, send_from_directory
from flask.typing import ResponseReturnValue
from flask_openapi3 import Info, OpenAPI

from car_damage import __version__, predictor
from car_damage.service import access, metrics, problems, telemetry
from car_damage.service.api import QUEUE, predictions_api, status_api
from car_damage.service.openapi import document
from car_damage.service.queue import PhotoQueue
from car_damage.service.schemas import ProblemDetails
from car_damage.service.settings import MAX_PHOTOS, Settings
from car_damage.wording import counted

ROBOTS = "User-agent: *\nDisallow: /\n"  # search engines should index nothing here
SWAGGER = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"


def create_app(settings: Settings, models: Path, version: str | None = None) -> OpenAPI:
    """Create the service for a version in `models`, by default the current one.

    A thread loads the model in the background.
    """
    app = OpenAPI(
        __name__,
        info=Info(title="Car damage classifier", version=__version__),
        security_schemes={"key": {"type": "http", "scheme": "bearer"}},
        validation_error_status=400,
        validation_error_model=ProblemDetails,
        validation_error_callback=problems.from_validation,
        doc_ui=False,
        static_folder="page",
        template_folder="page",
        static_url_path="/static",
    )
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_mb * problems.MIB
    app.config["MAX_FORM_MEMORY_SIZE"] = 100_000  # bytes outside files; the service uses none
    app.config["MAX_FORM_PARTS"] = 2 * MAX_PHOTOS  # so that too many photos get their own error
    app.config["STOPPING"] = lambda: False  # for /ready; gunicorn.conf.py replaces it
    # Answers keep the documented order.
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it
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
    app.url_map.strict_slashes = False  # /predict/ is /predict
    app.url_map.merge_slashes = False  # merging redirects to any host that the client sends
    app.register_api(predictions_api)
    app.register_api(status_api)
    _add_pages(app, settings)
    return app


def _add_pages(app: OpenAPI, settings: Settings) -> None:
    """Add the page, the API's documentation, and the files that browsers request."""

    def add(path: str, endpoint: str, view: Callable[..., ResponseReturnValue]) -> None:
        app.add_url_rule(path, endpoint, view)

    add("/", "page", lambda: _page(settings))
    add("/docs", "docs", lambda: app.send_static_file("docs.html"))
    # The page's links are relative, so it works only without the slash.
    add("/docs/", "docs_folder", lambda: redirect("../docs", 308))
    add("/docs/<path:path>", "swagger", partial(send_from_directory, SWAGGER))
    add("/openapi.json", "openapi", lambda: jsonify(document(app)))
    add("/favicon.ico", "favicon", lambda: app.send_static_file("icon.svg"))
    add("/robots.txt", "robots", lambda: Response(ROBOTS, mimetype="text/plain"))


def _page(settings: Settings) -> str:
    return render_template(
        "index.html",
        max_upload_mb=settings.max_upload_mb,
        records=access.way_to_records(settings),
        what_is_kept=_what_is_kept(settings),
    )


def _what_is_kept(settings: Settings) -> str:
    """Return what the page says about the photos' storage."""
    if settings.database_url is None:
        return "Photos are not kept."
    days = settings.retention_days
    time = "until somebody deletes them" if days is None else f"for {counted(days, 'day')}"
    if settings.keep_photos is None:
        return f"Photos are not kept. Their results are kept {time}."
    return f"Photos and their results are kept {time}."
