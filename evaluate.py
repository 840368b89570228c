"""Measure how good a model is on your own photos, sorted into two folders.

    python evaluate.py ~/cars                  # photos in ~/cars/damaged and ~/cars/not-damaged
    python evaluate.py ~/cars --model 20261122-1630-1f3a      # another version
    python evaluate.py ~/cars --cost-missed 2000 --cost-false-alarm 60 --cost-review 5

Prints accuracy and other metrics with 95 % intervals, and writes a report with the worst mistakes.
Photos that the version was trained on are left out.

If you give all three costs, evaluate.py chooses the threshold and review band that cost least, and
prints what 1,000 photos would cost. Nothing is trained. --use puts this threshold and band into
use. To return to the version before, run `python -m car_damage.model_store back`.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from car_damage import model_store
from car_damage.errors import UserError, exit_code
from car_damage.manifest import Metrics
from car_damage.options import add_costs, add_model, command_again, costs_of
from car_damage.wording import not_looked_at, printable

if TYPE_CHECKING:
    from car_damage.evaluation.predictions import Predictions

NO_COSTS = (
    "--use needs costs to choose the threshold and review band. "
    "Add --cost-missed, --cost-false-alarm and --cost-review."
)


def build_parser() -> argparse.ArgumentParser:
    """The options of evaluate.py."""
    parser = argparse.ArgumentParser(
        prog="evaluate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="contains damaged/ and not-damaged/")
    add_model(parser)
    add_costs(parser)
    parser.add_argument(
        "--use",
        action="store_true",
        help="use the threshold and review band that the costs choose, as a new version with the "
        "same network",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse the options, measure the version, and print where the report is."""
    args = build_parser().parse_args(argv)
    costs = costs_of(args)
    if args.use and costs is None:
        raise UserError(NO_COSTS)
    record = model_store.load_record(args.models, args.model)
    check_packages()
    from car_damage.evaluation import own_photos
    from car_damage.evaluation.calibration import cheapest_decision
    from car_damage.evaluation.claims import claims
    from car_damage.report.own_photos import cost_lines, table, write_own_report

    own = own_photos.answer_photos(record, args.folder)
    decision = record.manifest.decision
    if costs is not None:
        decision = cheapest_decision(costs, decision.temperature)
    predictions = own_photos.predictions_of(own, decision)
    metrics = own_photos.measure(own, predictions, costs)
    found = claims(predictions, metrics)
    print(printable(table(record, predictions, metrics, found)))
    if metrics.cost is not None:
        before = own_photos.cost_before(own, record, metrics.cost.costs)
        print("\n".join(cost_lines(before, metrics.cost, decision)))
    for line in (*own_photos.left_out(own, record.version), not_looked_at(own.skipped)):
        if line:
            print(printable(line))
    path = write_own_report(args.models, record, args.folder, own, predictions, metrics, found)
    print(printable(f"full report, with the worst mistakes: {path}"))
    if args.use:
        print(put_into_use(args.models, record, predictions, metrics))
    elif costs is not None:
        print(f"to use this threshold and band: {command_again('--use')}")


def put_into_use(
    models: Path, record: model_store.Record, predictions: "Predictions", metrics: Metrics
) -> str:
    """Make a version with the decision of `predictions`, use it, and return what to print."""
    from car_damage.release.new_decision import add_with_decision
    from car_damage.report.page import write_report

    name = add_with_decision(models, record, predictions, metrics)
    model_store.use(models, name)
    write_report(models, name)
    back = model_store.command(models, "back")
    return (
        f"{name} is now in use. It is {record.version} with this threshold and band. "
        f"To undo this, run: {back}"
    )


def check_packages() -> None:
    """Raise `UserError` if only the service's packages are installed."""
    for package in ("jinja2", "matplotlib", "scipy", "sklearn"):
        if find_spec(package) is None:
            raise UserError(
                f"The package {package} is not installed. Run: pip install -r requirements.txt"
            )


if __name__ == "__main__":
    sys.exit(exit_code(main))
