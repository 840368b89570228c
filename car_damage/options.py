"""Types and groups of command-line options; wrong values are refused before any work begins."""

import argparse
import math
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from car_damage import paths
from car_damage.errors import UserError
from car_damage.manifest import Costs

SHOWN = 40  # characters of a wrong value to show in an error
COSTS = {
    "missed": "a damaged car that is classified as not damaged",
    "false_alarm": "an undamaged car that is classified as damaged",
    "review": "a photo that a person checks",
}


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """An `argparse` type: a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        # `int` would accept digits of other scripts, and fails for thousands of digits.
        if not re.fullmatch(r"[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"{quoted(text)} is not a whole number from {low} to {high}"
            )
        return int(text)

    return parse


def quoted(text: str) -> str:
    """A wrong value as an error shows it: in quotes, and cut if it is long."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def positive_number(text: str) -> float:
    """An `argparse` type: a finite number above 0."""
    number = _float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a number above 0")
    return number


def share(text: str) -> float:
    """An `argparse` type: a number from 0 to below 1."""
    number = _float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a number from 0 to below 1")
    return number


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a version."""
    add = parser.add_argument
    add("--model", metavar="VERSION", help="version to use (default: the current version)")
    add(
        "--models",
        type=Path,
        default=paths.shown(paths.MODELS),
        metavar="DIR",
        help="folder of the versions (default: %(default)s)",
    )


def add_costs(parser: argparse.ArgumentParser) -> None:
    """Add the options for the costs of answers; `costs_of` reads them."""
    group = parser.add_argument_group(
        "costs, in any currency (give all three to choose the threshold and review band)"
    )
    for name, what in COSTS.items():
        option = "--cost-" + name.replace("_", "-")
        group.add_argument(option, type=positive_number, metavar="AMOUNT", help=f"cost of {what}")


def costs_of(args: argparse.Namespace) -> Costs | None:
    """The costs that the user gave, or None. Raises `UserError` if some are missing."""
    given = {name: getattr(args, f"cost_{name}") for name in COSTS}
    if missing := [name for name, amount in given.items() if amount is None]:
        if len(missing) == len(COSTS):
            return None
        options = " and ".join("--cost-" + name.replace("_", "-") for name in missing)
        raise UserError(f"Some costs are missing. Add {options}.")
    return Costs(**given)


def command_again(*more: str) -> str:
    """The user's command line with more options, ready to paste into a shell."""
    script = Path(sys.argv[0])
    words = ["python", str(script)]
    if script.name == "pipeline.py":  # started by run_pipeline.sh
        words = ["bash", str(paths.shown(paths.ROOT / "run_pipeline.sh"))]
    return shlex.join([*words, *sys.argv[1:], *more])


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
