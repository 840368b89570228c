"""Tell by exit code whether the service in this container is ready: the image's HEALTHCHECK.

PORT=5000 python -m car_damage.service.probe
"""

import http.client
import os
import sys
from contextlib import closing, suppress


def is_ready(port: int) -> bool:
    """Whether /ready on this computer answers with 200; False, too, where nothing answers."""
    # Not urllib, which would ask the environment's proxy. 4 seconds, since HEALTHCHECK waits for 5.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    return False


def port() -> int:
    """Where the service listens: as `settings` reads PORT, where empty counts as unset."""
    return int(os.environ.get("PORT", "").strip() or 5000)


if __name__ == "__main__":
    sys.exit(not is_ready(port()))
