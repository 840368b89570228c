"""Decode, fit and run the graph without HTTP, in one process: nothing serves photos faster.

    python benchmarks/floor.py GRAPH SECONDS PHOTO_FOLDER

Prints "ready" once it is warm, waits for a line, and then works. So several processes can start at
the same time. Prints JSON with the fields of load.py.
"""

import json
import sys
import time
from itertools import cycle
from pathlib import Path

from car_damage import photos
from car_damage.predictor import Graph

WARM_UP = 5  # photos


def main() -> None:
    """Measure, and print the result."""
    path, seconds, folder = sys.argv[1:]
    graph = Graph(Path(path))
    jpegs = [file.read_bytes() for file in sorted(Path(folder).glob("*.jpg"))]

    def answer(jpeg: bytes) -> None:
        graph.run(photos.fit(photos.decode(jpeg)))

    for jpeg in jpegs[:WARM_UP]:
        answer(jpeg)
    print("ready", flush=True)
    sys.stdin.readline()
    times, last, used = [], time.perf_counter(), time.process_time()
    end = last + float(seconds)
    for jpeg in cycle(jpegs):
        answer(jpeg)
        now = time.perf_counter()
        times.append(now - last)
        last = now
        if now >= end:
            break
    used = time.process_time() - used
    result = {"times": times, "in_time": len(times), "seconds": sum(times), "processor": used}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
