"""Which of run_pipeline.sh's options belong to a step, quoted for the shell.

    $ python scripts/share_options.py data_preprocessing --size 160 --epochs 3
    --size 160

An option that both steps know goes to both. One that neither knows, or a wrong value, ends in one
sentence and exit code 2, before any step has begun.
"""

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("data_preprocessing", "model_training")

sys.path.insert(0, str(ROOT))
from car_damage.errors import UserError, exit_code  # noqa: E402 - only now can it be found


def main() -> None:
    """Print the share of the step that the first word names."""
    step, *words = sys.argv[1:]
    parsers = {name: parser_of(name) for name in STEPS}
    share = []
    for option in split(words):
        if not any(knows(parser, option) for parser in parsers.values()):
            raise UserError(
                f"neither step knows {shlex.join(option)!r}: see run_pipeline.sh --help"
            )
        if knows(parsers[step], option):
            share += seen_from_root(parsers[step], option)
    parsers[step].parse_args(share)  # what only whole command lines show: two that exclude another
    print(shlex.join(share), end="")


def parser_of(step: str) -> argparse.ArgumentParser:
    """The step's own parser, which refuses in the step's name."""
    parser: argparse.ArgumentParser = importlib.import_module(step).build_parser()
    parser.prog = f"{step}.py"
    return parser


def split(words: Sequence[str]) -> list[list[str]]:
    """Each option with its values: `--size=160 --sample` as [["--size", "160"], ["--sample"]]."""
    options: list[list[str]] = []
    for word in words:
        if word == "--":
            continue  # may stand before the options, and means nothing more
        if word.startswith("--"):
            options.append(word.split("=", 1))
        elif options:
            options[-1].append(word)
        else:
            options.append([word])
    return options


def knows(parser: argparse.ArgumentParser, option: Sequence[str]) -> bool:
    """Whether the step takes the option, its values included."""
    return not parser.parse_known_args(option)[1]


def seen_from_root(parser: argparse.ArgumentParser, option: Sequence[str]) -> list[str]:
    """The option with its paths made absolute: the steps run in another folder than the user."""
    if Path.cwd() == ROOT:
        return list(option)
    values = vars(parser.parse_known_args(option)[0]).values()
    paths = {path for value in values for path in (value if isinstance(value, list) else [value])}
    return [
        str(Path(word).absolute()) if Path(word) in paths or "/" in word else word
        for word in option
    ]


if __name__ == "__main__":
    sys.exit(exit_code(main))
