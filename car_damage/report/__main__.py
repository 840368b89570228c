"""Write the report of a version, or compare several versions side by side on one page.

    python -m car_damage.report 20261122-1630-1f3a               # models/<version>/report.html
    python -m car_damage.report 20261122-1630-1f3a --no-photos   # without photos, for sharing
    python -m car_damage.report VERSION VERSION...               # models/report-<versions>.html

The included version's folder is read-only, so its report goes to models/report-<version>.html.
The report only needs the version's folder. It also shows photos if they are still in the same
place as in training.
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
        help="leave out all photos and their names (side-by-side pages never have any)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse the arguments, write the page and print its path."""
    args = build_parser().parse_args(argv)
    versions = list(dict.fromkeys(args.versions))
    if len(versions) == 1:
        path = write_report(args.models, versions[0], with_photos=not args.no_photos)
    else:
        path = write_side_by_side(args.models, versions)
    print(f"Wrote {path}. Open it in a browser.")


if __name__ == "__main__":
    sys.exit(exit_code(main))
