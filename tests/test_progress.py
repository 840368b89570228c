import io
import sys

import pytest

from car_damage import progress as module
from car_damage.progress import can_draw, duration, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_there_is_a_line_every_ten_seconds_and_no_bar(monkeypatch, capsys):
    seconds = iter(range(0, 100, 4))
    monkeypatch.setattr(module, "monotonic", lambda: next(seconds))
    assert list(progress("abcdefg", "reading photos", total=7)) == list("abcdefg")
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "reading photos: 3 of 7, about 16 s left",
        "reading photos: 6 of 7, about 4 s left",
    ]
    assert shown.err == ""


def test_a_terminal_gets_a_bar_without_colours(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert list(progress("abc", "reading photos", total=3)) == list("abc")
    assert "3/3" in sys.stderr.getvalue()
    assert "\x1b[3" not in sys.stderr.getvalue()
    assert capsys.readouterr().out == ""


def test_a_dumb_terminal_gets_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not can_draw()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_formats_a_time_for_people(seconds, said):
    assert duration(seconds) == said
