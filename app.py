"""Classify photos over HTTP with the current model.

    python app.py                    # on a laptop, including Windows: http://localhost:5000
    HOST=0.0.0.0 python app.py       # also for phones in the same network
    gunicorn app:app                 # for everything else; reads gunicorn.conf.py by itself

    curl -X POST -F "image=@car.jpg" http://localhost:5000/predict

`flask --app app run` and `waitress-serve app:app` work too. docs/settings.md lists the settings,
which are environment variables.
"""

import logging.config
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask
from flask_openapi3 import OpenAPI

from car_damage import paths
from car_damage.errors import UserError, exit_code
from car_damage.service import logs, settings
from car_damage.service.application import create_app
from car_damage.service.http_server import Server, Threads, turn
from car_damage.service.listening import LOCAL, addresses, limits, listening
from car_damage.service.settings import Settings

GUNICORN_GIVES_UP = 4  # exit code of a worker; after other codes gunicorn starts the next worker
WITHOUT_CONFIGURATION = (
    "gunicorn runs without gunicorn.conf.py: slow uploads block other clients, each request needs "
    "a new connection, and /metrics shows only one worker. Start gunicorn with -c %s"
)

logger = logging.getLogger(__name__)


def for_worker(models: Path, version: str | None) -> Flask:
    """Create a gunicorn worker's application for the version that gunicorn.conf.py chose."""
    return _with_records(create_app(settings.chosen(), models, version), settings.chosen())


def for_any_server() -> Flask:
    """Create the application for a server without gunicorn.conf.py."""
    chosen = replace(settings.chosen(), web_concurrency=1)
    if "FLASK_RUN_FROM_CLI" not in os.environ:  # Flask's own log shows the address
        logging.config.dictConfig(logs.config(chosen.log_format))
    settings.warn(logger)
    if _is_gunicorn():
        logger.warning(WITHOUT_CONFIGURATION, paths.ROOT / "gunicorn.conf.py")
    prepare_records(chosen)
    return _with_records(create_app(chosen, paths.MODELS), chosen)


def prepare_records(chosen: Settings) -> None:
    """Check the database and the place of kept photos, if there are any. Raises `UserError`."""
    if chosen.database_url is not None:
        from car_damage.records import application  # imported only if needed

        application.prepare(chosen)


def _with_records(app: OpenAPI, chosen: Settings) -> OpenAPI:
    """Make an application record its answers if there is a database."""
    if chosen.database_url is not None:
        from car_damage.records.application import add_records  # imported only if needed

        add_records(app, chosen)
    return app


make_app: Callable[[], Flask] = for_any_server  # gunicorn.conf.py replaces it with `for_worker`


def __getattr__(name: str) -> Flask:
    """Create `app`, which servers look for, on first access. An import alone loads nothing."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        made = globals()["app"] = make_app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(GUNICORN_GIVES_UP if _is_gunicorn() else 2)
    return made


def _is_gunicorn() -> bool:
    return os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn/")  # gunicorn sets it


def main() -> None:
    """Run the service in one process, for this computer or, with HOST, for its network."""
    chosen = replace(settings.chosen(), web_concurrency=1)
    where = chosen.host or LOCAL, chosen.port
    logging.config.dictConfig(logs.config(chosen.log_format))
    settings.warn(logger)
    with listening(*where) as listener:
        prepare_records(chosen)
        app = _with_records(create_app(chosen, paths.shown(paths.MODELS)), chosen)
        print(f"Open {' or '.join(addresses(*where))}; Ctrl-C stops.", file=sys.stderr)
        sockets: dict[int, Any] = {}
        server = Server(app, listener, limits(chosen), Threads(chosen.max_queue + 64), sockets)
        while True:
            turn([server], sockets, seconds=1)


if __name__ == "__main__":
    sys.exit(exit_code(main))
