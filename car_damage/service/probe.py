"""Tell by exit code whether the service in this container is ready: the image's HEALTHCHECK.

PORT=5000 python -m car_damage.service.probe
"""

import http.client
import os
import sys

PATIENCE = 4  # seconds; HEALTHCHECK's own are 5


def is_ready(port: int) -> bool:
    """Whether /ready on this computer answers with 200; False, too, where nothing answers."""
    # Not urllib: it would ask the proxy that the environment may name.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not is_ready(int(os.environ["PORT"])))
