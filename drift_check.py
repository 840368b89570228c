"""Check whether the photos that the service gets have changed.

    python drift_check.py                  # the photos of the last 7 days
    python drift_check.py --since 1d       # of the last day
    python drift_check.py --since 7d --accept    # these photos are normal from now on

Reads the service's records from DATABASE_URL. The photos are compared with the service's own
baseline, which is the first 2,000 photos of the version or those accepted with --accept, and with
the version's training photos. Only the first comparison can find drift.

Exit codes: 0 for no drift and for too few photos, 3 for drift, 2 for a mistake in the options or
the settings. The result is stored in the database, where the service reads it for /metrics.
docs/drift.md says how the comparison works and how well.
"""

import argparse
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from car_damage import paths
from car_damage.errors import UserError, exit_code
from car_damage.options import quoted
from car_damage.service import settings
from car_damage.wording import counted, printable

if TYPE_CHECKING:
    from car_damage.drift.check import Result

DRIFT = 3  # exit code
UNITS = {"d": "days", "h": "hours"}
PACKAGES = ("jinja2", "scipy", "sklearn", "sqlalchemy")


def length_of_time(text: str) -> timedelta:
    """An `argparse` type: a length of time such as 7d or 12h."""
    parts = re.fullmatch(r"([0-9]{1,4})([dh])", text)
    if not parts or not int(parts[1]):
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not a length of time such as 7d or 12h"
        )
    return timedelta(**{UNITS[parts[2]]: int(parts[1])})


def build_parser() -> argparse.ArgumentParser:
    """The options of drift_check.py."""
    parser = argparse.ArgumentParser(
        prog="drift_check.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--since",
        type=length_of_time,
        default="7d",
        metavar="TIME",
        help="check the photos of the last days (d) or hours (h), at most 20,000 "
        "(default: %(default)s)",
    )
    add(
        "--accept",
        action="store_true",
        help="compare later photos with these, at most the newest 2,000, from now on",
    )
    add(
        "--report",
        type=Path,
        default=paths.shown(paths.MODELS / "drift.html"),
        metavar="FILE",
        help="where to write the report (default: %(default)s)",
    )
    add(
        "--models",
        type=Path,
        default=paths.shown(paths.MODELS),
        metavar="DIR",
        help="folder of the versions (default: %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse the options, check, and print what was found. Exits with `DRIFT` if it is drift."""
    args = build_parser().parse_args(argv)
    chosen = settings.read(os.environ)
    if chosen.database_url is None:
        raise UserError("DATABASE_URL is not set. Set it to the service's database.")
    check_packages()
    from sqlalchemy.exc import SQLAlchemyError

    from car_damage.drift import check
    from car_damage.drift.report import write_report
    from car_damage.records import database
    from car_damage.records.kept_photos import KeptPhotos
    from car_damage.records.outages import cause

    begin = datetime.now(UTC) - args.since
    engine = database.open_existing(chosen.database_url)
    try:
        if args.accept:
            version, photos = check.accept(engine, begin)
            print(f"the baseline of {version} is now its newest {counted(photos, 'photo')}")
            return
        result = check.check(engine, args.models, begin)
    except SQLAlchemyError as error:
        raise UserError(f"DATABASE_URL cannot be used: {cause(error)}") from None
    finally:
        engine.dispose()
    write_report(
        *(args.report, result),
        None if chosen.keep_photos is None else KeptPhotos(chosen.keep_photos),
    )
    print(printable(summary(result)))
    print(printable(f"full report: {args.report}"))
    if result.verdict == "drift":
        sys.exit(DRIFT)


def summary(result: "Result") -> str:
    """The result as lines for the terminal."""
    from car_damage.drift import words

    lines = [f"{result.verdict}: {counted(len(result.compared), 'photo')} of {result.version}"]
    if result.reason:
        lines.append(result.reason)
    for each in result.moved:
        before, now = words.values(each)
        change = f"from {before} to {now}" if before else ""
        lines.append(
            f"  {words.title(each.name):44}{each.ratio:4.1f} times its limit  {change}".rstrip()
        )
    if result.distance is not None:
        share = result.distance.share
        lines.append(
            f"{share:.1%} of the photos are far from the training photos (5 % of the validation "
            "photos are)"
        )
    else:
        lines.append(result.no_distance)
    return "\n".join(lines)


def check_packages() -> None:
    """Raise `UserError` if only the service's packages are installed."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise UserError(
                f"The package {package} is not installed. Run: pip install -r requirements.txt"
            )


if __name__ == "__main__":
    sys.exit(exit_code(main))
