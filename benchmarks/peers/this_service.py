"""This service as in production, with the version of the benchmark instead of the one in use."""

import os
import sys
from pathlib import Path

from gunicorn.app.wsgiapp import run

from car_damage import paths

paths.MODELS = Path(os.environ["VERSION_FOLDER"]).parent
sys.argv = ["gunicorn", "-c", str(paths.ROOT / "gunicorn.conf.py")]
run()
