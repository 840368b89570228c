"""The image's HEALTHCHECK: exit with 0 if the service in this container is ready, else with 1.

PORT=5000 python -m car_damage.service.probe
"""

import http.client
import os
import sys
from contextlib import closing, suppress


def is_ready(port: int) -> bool:
    """Whether /ready on this computer returns 200. False without any response."""
    # http.client ignores the environment's proxy, unlike urllib. HEALTHCHECK waits for 5 seconds.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    return False


def port() -> int:
    """Return the service's port. As in `settings`, an empty PORT counts as unset."""
    return int(os.environ.get("PORT", "").strip() or 5000)


if __name__ == "__main__":
    sys.exit(not is_ready(port()))
