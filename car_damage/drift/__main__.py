"""Add reference.npz to a version that was made before there was one.

    python -m car_damage.drift VERSION [--data data/processed]

The data set must be the one that the version was trained on. drift_check.py then says how far your
photos are from it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from car_damage import model_store, paths
from car_damage.dataset.arrays import load
from car_damage.drift.reference import Reference
from car_damage.errors import UserError, exit_code
from car_damage.evaluation.inference import graph_outputs


def main(argv: list[str] | None = None) -> None:
    """Parse the options and add the file."""
    parser = argparse.ArgumentParser(
        prog="python -m car_damage.drift",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("version", metavar="VERSION")
    add("--data", type=Path, default=paths.shown(paths.PROCESSED), metavar="DIR")
    add("--models", type=Path, default=paths.shown(paths.MODELS), metavar="DIR")
    args = parser.parse_args(argv)
    record = model_store.load_record(args.models, args.version)
    dataset = load(args.data)
    trained_with = record.manifest.dataset
    if trained_with is None or trained_with.fingerprint != dataset.config.fingerprint:
        raise UserError(f"{record.version} was not trained on the data set in {args.data}.")
    train = graph_outputs(record.graph, dataset.train.X).embeddings
    photos = np.flatnonzero(dataset.val.of_kind("photo"))
    val = graph_outputs(record.graph, (dataset.val.X[row] for row in photos)).embeddings
    seed = 0 if record.manifest.settings is None else record.manifest.settings.seed
    content = Reference.of(train, val, seed).to_bytes()
    model_store.add_file(record, model_store.REFERENCE, content)
    print(f"{record.folder / model_store.REFERENCE} was written ({len(content) // 1000} kB)")


if __name__ == "__main__":
    sys.exit(exit_code(main))
