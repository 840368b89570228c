"""Bring the tables in DATABASE_URL up to date: python -m car_damage.records migrate."""

import argparse
import os
import sys

from car_damage.errors import exit_code
from car_damage.service import settings


def main() -> None:
    """Run the command. Without DATABASE_URL there is nothing to do, which is not an error."""
    parser = argparse.ArgumentParser(prog="python -m car_damage.records", description=__doc__)
    parser.add_argument("command", choices=["migrate"])
    parser.parse_args()
    address = settings.read(os.environ).database_url
    if address is None:
        print("DATABASE_URL is not set, so there are no tables to bring up to date.")
        return
    from car_damage.records import database

    database.migrate(address)
    print("The tables are up to date.")


if __name__ == "__main__":
    sys.exit(exit_code(main))
