"""Check the settings, then start gunicorn. This is the image's command.

    python -m car_damage.service.start -c gunicorn.conf.py

gunicorn reads WEB_CONCURRENCY before our configuration and fails if it is empty.
"""

import os
import sys

from car_damage.errors import exit_code
from car_damage.service import settings


def main() -> None:
    """Replace this process with gunicorn. Raises `UserError` for a wrong setting."""
    os.environ["WEB_CONCURRENCY"] = str(settings.chosen().web_concurrency)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(exit_code(main))
