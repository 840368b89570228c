"""Run the benchmarks, each in its short form, and show their ratios in one table.

    python -m benchmarks                      # all of them, about 15 minutes
    python -m benchmarks serving engines      # only these

Only benchmarks that draw their photos and need no root are here. copies.py, drift.py, feedback.py,
heatmaps.py, photo_warnings.py, recipes.py and seen_before.py need real photos or a trained
model, attacks.py and faults.py need root, and pod.py and recording.py have no short form. Each of
them is described in benchmarks/README.md.

Run it on a machine that does nothing else: each benchmark uses all cores. If one fails, the others
still run, and the exit code is 1. Linux only.
"""

import argparse
import subprocess
import sys

from benchmarks.headlines import HEADING, LINE, headlines_of
from benchmarks.service import ROOT
from car_damage.errors import UserError, exit_code

BENCHMARKS = {  # scripts in this folder, and the options of their short form
    "preprocessing": ["--short"],
    "growth": ["--short"],
    "service": ["--seconds", "10"],
    "serving": ["--short"],
    "engines": ["--short"],
    "training": ["--short"],
    "cluster": ["--short"],
}


def main() -> None:
    """Parse the options, then run one benchmark after the other."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = f"{', '.join(BENCHMARKS)} (default: all)"
    parser.add_argument("names", nargs="*", metavar="BENCHMARK", help=what)
    names = parser.parse_args().names or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            raise UserError(f"There is no benchmark {name!r}. Choose from {', '.join(BENCHMARKS)}.")
    outputs, failed = {}, []
    for name in names:
        print(f"\n## {name}\n")
        outputs[name], status = run(name)
        if status:
            failed.append(name)
    print_summary(outputs)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def run(name: str) -> tuple[str, int]:
    """Run a benchmark and print its output as it comes; return the output and the exit code."""
    command = [sys.executable, f"benchmarks/{name}.py", *BENCHMARKS[name]]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="")
            lines.append(line)
    return "".join(lines), process.returncode


def print_summary(outputs: dict[str, str]) -> None:
    """Print the ratios of all benchmarks as one table."""
    rows = [row for output in outputs.values() for row in headlines_of(output)]
    print("\n".join(["\n## Ratios\n", HEADING, LINE, *rows]))


if __name__ == "__main__":
    sys.exit(exit_code(main))
