"""Compare this service with other ways to serve the same ResNet-50.

    python benchmarks/serving.py                           # ten rounds: 20 minutes
    python benchmarks/serving.py --short                   # one short round: two minutes
    python benchmarks/serving.py --json serving.json --plot docs/throughput.png
    python benchmarks/serving.py --again serving.json      # the tables of an earlier run

The servers: this service as in production; LitServe and BentoML as their documentation recommends,
with this project's graph and its way of decoding; Flask's development server and gunicorn with
Keras, as a textbook shows them. Each has one worker per core, and its own environment, which the
first run installs (3 GB). 1, 2, 8 and 32 clients in another process send photos of 1024 x 768 px
over connections that are kept alive. Each answer is compared with what the graph says. The graph
is in int8, as `model_training.py` makes it by default.

The floor is decoding, fitting and running the graph without a server: in one process, and in one
process per core. The servers take turns in each round, and every other round runs backwards.
The tables have medians, with the lowest and the highest round. Linux only.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import load, servers, serving_model, serving_results
from benchmarks.environments import megabytes, python_with
from benchmarks.headlines import print_headlines
from benchmarks.service import memory, processor_seconds
from benchmarks.serving_results import Measurement, Results
from car_damage.model_store import Record
from car_damage.parallel import cores
from car_damage.release.precisions import PRECISIONS

CLIENTS = (1, 2, 8, 32)
WARM_UP = 8  # clients, so that all workers load their model


def measure(
    chosen: list[servers.Server], precision: str, rounds: int, seconds: float, warm_up: float
) -> Results:
    """Measure the servers in turns."""
    load_average = os.getloadavg()[0]
    for server in chosen:
        python_with(server.environment)  # installing is not part of the first round
    record = serving_model.made(precision)
    installed = {server.name: megabytes(server.environment) for server in chosen}
    ready: dict[str, list[float]] = {server.name: [] for server in chosen}
    results = Results(precision, cores(), load_average, installed, ready)
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder)
        serving_model.write_photos(record, photos)
        for number in range(rounds):
            measure_floor(results, number, record, photos, seconds)
            for server in chosen if number % 2 == 0 else reversed(chosen):
                measure_server(results, number, server, record, photos, seconds, warm_up)
    return results


def measure_floor(
    results: Results, number: int, record: Record, photos: Path, seconds: float
) -> None:
    """Measure what is possible without a server."""
    for processes in sorted({1, cores()}):
        timing = servers.floor(processes, seconds, record.graph, photos)
        results.measurements.append(Measurement.of_floor(number, processes, timing))


def measure_server(
    results: Results,
    number: int,
    server: servers.Server,
    record: Record,
    photos: Path,
    seconds: float,
    warm_up: float,
) -> None:
    """Start a server, and let each number of clients send photos to it."""
    print(f"round {number + 1}: {server.name}", file=sys.stderr)
    with servers.running(server, record.folder) as process:
        first = load.read(photos)[0]
        results.ready[server.name].append(servers.seconds_until_ready(server, process, first))
        servers.under_load(server, WARM_UP, warm_up, photos)
        for clients in CLIENTS:
            before = processor_seconds(process.pid)
            timing = servers.under_load(server, clients, seconds, photos)
            used = processor_seconds(process.pid) - before
            of_round = Measurement.of(
                server.name, number, clients, timing, used, memory(process.pid)
            )
            results.measurements.append(of_round)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [server.name for server in servers.SERVERS]
    parser.add_argument("--rounds", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=4, help="of each load; default: 4")
    parser.add_argument("--short", action="store_true", help="one round of 2 seconds each")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    parser.add_argument("--servers", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--plot", type=Path, help="draw the throughput into this file")
    parser.add_argument("--again", type=Path, help="read this file instead of measuring")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped too
    if args.short:
        args.rounds, args.seconds = 1, 2
    if args.again:
        results = Results.read(args.again)
    else:
        chosen = [server for server in servers.SERVERS if server.name in args.servers]
        results = measure(chosen, args.precision, args.rounds, args.seconds, args.seconds / 2)
    if args.json:
        results.write(args.json)
    if args.plot:
        serving_results.plot(results, args.plot)
    print(f"{results.cores} cores, {results.precision}, load average {results.load_average:.1f}\n")
    print(serving_results.report(results))
    print_headlines(serving_results.headlines(results))


if __name__ == "__main__":
    main()
