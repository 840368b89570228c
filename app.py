"""Answer photos over HTTP with the current model.

    python app.py                    # on a laptop, Windows included: http://localhost:5000
    gunicorn -c gunicorn.conf.py     # for everything else

    curl -X POST -F "image=@car.jpg" http://localhost:5000/predict

Environment variables set it up: docs/operations.md lists them.
"""

import logging.config
import sys
from dataclasses import replace
from pathlib import Path

from flask import Flask
from werkzeug.serving import run_simple

from car_damage import paths
from car_damage.errors import exit_code
from car_damage.service import logs, settings
from car_damage.service.application import create_app


def from_environment(models: str, version: str | None) -> Flask:
    """The application of a gunicorn worker, for the version that gunicorn.conf.py chose."""
    return create_app(settings.chosen(), Path(models), version)


def main() -> None:
    """Serve this computer alone, from one process."""
    chosen = replace(settings.chosen(), web_concurrency=1)
    logging.config.dictConfig(logs.config(chosen.log_format))
    app = create_app(chosen, paths.shown(paths.MODELS))
    print(f"Open http://localhost:{chosen.port} in a browser; Ctrl-C stops.", file=sys.stderr)
    run_simple("127.0.0.1", chosen.port, app, threaded=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
