"""`python -m benchmarks`: every benchmark runs, and one table has all ratios."""

import importlib
import sys

import pytest

from benchmarks.headlines import Headline, print_headlines

command = importlib.import_module("benchmarks.__main__")


def test_a_failed_benchmark_stops_no_other_and_all_ratios_come_last(monkeypatch, capsys):
    print_headlines([Headline("step 1", "90 photos/s", "loop 15", 6.0, "6")])
    ratios = capsys.readouterr().out
    outputs = {"growth": ("", 1), "preprocessing": (f"drawing\n| a |\n|---|\n\n{ratios}", 0)}
    outputs["engines"] = ("| a |\n|---|\n", 0)
    monkeypatch.setattr(command, "run", outputs.get)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *outputs])
    with pytest.raises(SystemExit, match="growth"):
        command.main()
    summary = capsys.readouterr().out.partition("## Ratios")[2]
    assert "| step 1 | 90 photos/s | loop 15 | 6.00 | 6 |" in summary
    assert "| a |" not in summary
