"""Write the report of a version, or put several versions side by side on one page.

    python -m car_damage.report 20261122-1630-1f3a               # models/<version>/report.html
    python -m car_damage.report 20261122-1630-1f3a --no-photos   # the same, to be passed on
    python -m car_damage.report VERSION VERSION...               # models/report-<versions>.html

The report of the included version goes to models/report-<version>.html, as its folder is read-only.
A report is made from the version's folder alone, and its pictures from the photos, if these are
still where they were in training.
"""

import argparse
import sys
from pathlib import Path

from car_damage import paths
from car_damage.errors import exit_code
from car_damage.report.page import write_report
from car_damage.report.side_by_side import write_side_by_side


def build_parser() -> argparse.ArgumentParser:
    """The options of `python -m car_damage.report`."""
    parser = argparse.ArgumentParser(
        prog="python -m car_damage.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    parser.add_argument(
        "--models",
        type=Path,
        default=paths.shown(paths.MODELS),
        metavar="DIR",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--no-photos",
        action="store_true",
        help="leave out all photos and their names (side by side there are none anyway)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse, then write the page and say where it is."""
    args = build_parser().parse_args(argv)
    versions = list(dict.fromkeys(args.versions))
    if len(versions) == 1:
        path = write_report(args.models, versions[0], with_photos=not args.no_photos)
    else:
        path = write_side_by_side(args.models, versions)
    print(f"{path} is written: open it in a browser")


if __name__ == "__main__":
    sys.exit(exit_code(main))
