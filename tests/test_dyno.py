"""The service with the settings and the environment of a Heroku dyno, which has 512 MB."""

import json
import sys
import threading
from pathlib import Path

import pytest

from tests.gunicorn_process import ROOT, running
from tests.photo_files import jpeg, texture

REQUESTS = 2000
CLIENTS = 8
BETWEEN = 50  # requests of a client from one phone's photo to the next: it takes the most memory
MEMORY = 400  # MB; what is left of 512 is for the system's cache and for what we did not foresee

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def test_two_thousand_requests_stay_below_400_mb(tmp_path):
    about = json.loads((ROOT / "app.json").read_text(encoding="utf-8"))
    settings = {name: value["value"] for name, value in about["env"].items() if "value" in value}
    photos = [jpeg(texture(seed, 320, 240)) for seed in range(16)]
    from_phone = jpeg(texture(0, 4000, 3000))
    statuses: list[int] = []
    peak = 0.0
    with running(ROOT, tmp_path, Path("gunicorn.conf.py"), DYNO="web.1", **settings) as service:

        def client(number: int) -> None:
            # A connection for each, as clients that come and go have.
            for turn in range(REQUESTS // CLIENTS):
                at = number + turn
                photo = from_phone if at % BETWEEN == 0 else photos[at % len(photos)]
                statuses.append(service.ask("/predict", photo)[0])

        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        while any(thread.is_alive() for thread in clients):
            peak = max(peak, memory({service.process.pid, *service.workers()}))
            clients[0].join(0.5)
        assert len(service.workers()) == int(settings["WEB_CONCURRENCY"])
        assert service.stop() == 0
    assert statuses == [200] * REQUESTS
    assert peak < MEMORY


def memory(processes: set[int]) -> float:
    """Megabytes of the processes together, what they share counted once: proportional set sizes."""
    kilobytes = 0
    for process in processes:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1000
