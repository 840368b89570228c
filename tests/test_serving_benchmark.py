"""The comparison of servers: its figures, and that it notices wrong answers."""

import json
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmarks import load
from benchmarks.servers import Timing
from benchmarks.serving_results import FLOOR, Measurement, Results, apart, headlines, report


def measured(server: str, number: int, clients: int, milliseconds: list[float]) -> Measurement:
    timing = Timing([each / 1000 for each in milliseconds], len(milliseconds), 2.0, processor=0.1)
    used = sum(timing.times)
    return Measurement.of(server, number, clients, timing, processor=used, memory=100.0)


def results() -> Results:
    """Two rounds. This service takes 20 and 25 ms a photo, LitServe 40 and 50."""
    found = Results(
        precision="float16",
        cores=2,
        load_average=0.5,
        installed={"this service": 300.0, "LitServe": 400.0},
        ready={"this service": [1.0, 2.0], "LitServe": [3.0, 4.0]},
    )
    for number, own in enumerate((20, 25)):
        for clients in (1, 8):
            found.measurements += [
                measured("this service", number, clients, [own] * (2000 // own)),
                measured("LitServe", number, clients, [2 * own] * (1000 // own)),
            ]
        found.measurements += [
            measured(FLOOR, number, 1, [0.8 * own] * 100),
            measured(FLOOR, number, 2, [0.8 * own] * (2500 // own)),
        ]
    return found


def test_photos_per_second_and_percentiles_come_from_the_times_of_all_answers():
    one = measured("LitServe", 0, 8, list(range(1, 101)))
    assert one.photos_per_second == 50
    assert (one.processor, one.generator) == pytest.approx((50.5, 0.05))
    assert (one.p50, one.p95, one.p99) == pytest.approx((50.5, 95.05, 99.01))


def test_the_tables_show_medians_with_their_range_and_the_ratio_of_each_round():
    rows = [line.strip("| ").split(" | ") for line in report(results()).splitlines()]
    ours, other = [row for row in rows if row[0] in ("this service", "LitServe")][:2]
    assert ours == ["this service", *["45.0 (40.0 to 50.0)"] * 2, *["1.00 (1.00 to 1.00)"] * 2]
    assert other == ["LitServe", *["22.5 (20.0 to 25.0)"] * 2, *["2.00 (2.00 to 2.00)"] * 2]


def test_this_service_is_compared_with_each_other_server_and_with_the_floor():
    other, share, spent, waits = headlines(results())
    assert other == ("serving, 8 clients", "45.0 photos/s", "LitServe 22.5", 2, "")
    assert (share.other, share.ratio, share.goal) == ("no server 56.2", pytest.approx(0.8), "0.94")
    assert (spent.ours, spent.ratio) == ("22.5 ms", pytest.approx(1.25))
    assert (waits.other, waits.ratio) == ("no server 18.0", pytest.approx(1.25))


def test_labels_of_lines_that_end_close_together_do_not_overlap():
    ends = {("first", "red"): 10.0, ("second", "blue"): 10.5, ("third", "green"): 30.0}
    assert list(apart(ends, 4).values()) == [10, 14, 30]


def test_a_later_run_reads_the_same_results(tmp_path):
    results().write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results()


@pytest.fixture
def port():
    """The port of a server that answers each photo with a probability of 0.7."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"probability": 0.7}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_the_load_generator_refuses_an_answer_that_differs_from_the_graph_s(port):
    close, far = (load.Photo(load.form(b"jpeg"), expected) for expected in (0.71, 0.75))
    with closing(load.connect(port)) as connection:
        assert load.ask(connection, close, tolerance=0.02) > 0
        with pytest.raises(load.WrongAnswer, match=r"0\.7 instead of 0\.75"):
            load.ask(connection, far, tolerance=0.02)


def test_an_answer_after_the_end_does_not_count_as_in_time(port):
    photo = load.Photo(load.form(b"jpeg"), 0.7)
    times, in_time = load.load(port, [photo], clients=2, seconds=0, tolerance=0.02)
    assert (len(times), in_time) == (2, 0)
