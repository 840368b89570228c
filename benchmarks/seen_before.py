"""Measure whether photos that came before are found among a million, and how long that takes.

    python benchmarks/seen_before.py PHOTO_FOLDER... [--rows 1000000]    # six minutes

Half of the photos, and blends of two of them, fill a database; a blend's waves are those of the
blended photos, because the transform is linear. 60,000 rows are more difficult: one photo that was
sent again and again, and cars in front of one backdrop, which are blends with at least 80 % of one
photo. All rows belong to one key.

Copies of photos in the database are looked up, and photos from the other half, whose cars should
not be found. They are looked up in SQLite (a file, WAL) and in PostgreSQL, which must be installed.
Every photo is also compared with all other photos of its folder. A person should check the pairs
that are called similar, because real sets contain real copies.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.copies import HARD_KINDS, KINDS, as_jpeg, mirrored
from car_damage.parallel import map_in_order
from car_damage.perceptual_hash import hash_of, waves
from car_damage.photos import SUFFIXES, UnusablePhoto, decode
from car_damage.records.database import connect, migrate
from car_damage.records.seen_before import SeenBefore, find_seen_before
from car_damage.records.similarity import KEYS, are_similar, stored_keys
from car_damage.records.tables import predictions, similarity_keys
from tests.postgres import running_postgres

COPIED = 1000  # photos, for each kind of copy
STRANGERS = 2000  # photos that are not in the database
SENT_AGAIN, BEFORE_ONE_BACKDROP = 10_000, 50_000  # rows
AT_ONCE = 10_000  # rows
OWNER = "insurer"
START = datetime(2026, 1, 1, tzinfo=UTC)  # of the first row; one row a second follows

Query = tuple[str, np.ndarray]  # SHA-256 and waves


def waves_of(path: Path) -> np.ndarray | None:
    """The waves of a photo; None if it cannot be used."""
    try:
        return waves(decode(path.read_bytes()))
    except UnusablePhoto:
        return None


def read(folders: Sequence[Path]) -> tuple[list[Path], np.ndarray]:
    """All usable photos of the folders, and their waves, `float32` (n, VIEWS, VIEW_BITS)."""
    files = (path for folder in folders for path in folder.rglob("*"))
    paths = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    found = zip(paths, map_in_order(waves_of, paths), strict=True)
    usable = [(path, photo) for path, photo in found if photo is not None]
    return [path for path, _ in usable], np.stack([photo for _, photo in usable])


def report_pairs(paths: Sequence[Path], hashes: np.ndarray) -> None:
    """Print which pairs of photos of each folder are called similar."""
    for folder in sorted({path.parent for path in paths}):
        members = np.flatnonzero([path.parent == folder for path in paths])
        pairs = []
        for place, number in enumerate(members[:-1], 1):
            others = members[place:]
            pairs += [
                (number, other) for other in others[are_similar(hashes[number], hashes[others])]
            ]
        count = len(members) * (len(members) - 1) // 2
        print(f"{folder}: {len(members):,} photos, {len(pairs)} of {count:,} pairs similar")
        for number, other in pairs:
            print(f"  {paths[number].name}  {paths[other].name}")


def many_hashes(photos: np.ndarray, count: int) -> np.ndarray:
    """Hashes of `count` rows: the photos, then blends, then the two skewed kinds of rows."""
    random = np.random.default_rng(0)
    skewed = SENT_AGAIN + BEFORE_ONE_BACKDROP
    parts = [np.stack([hash_of(photo) for photo in photos])]
    parts += [
        blends(photos, photos, 0.5, 0.6, rows, random)
        for rows in in_chunks(count - len(photos) - skewed)
    ]
    parts += [blends(photos[:1], photos, 0.8, 0.95, BEFORE_ONE_BACKDROP, random)]
    parts += [np.repeat(parts[0][1:2], SENT_AGAIN, axis=0)]
    return np.concatenate(parts)


def blends(
    photos: np.ndarray,
    others: np.ndarray,
    least: float,
    most: float,
    count: int,
    random: np.random.Generator,
) -> np.ndarray:
    """Hashes of `count` blends of two photos; the first has between `least` and `most` of it."""
    share = random.uniform(least, most, (count, 1, 1)).astype(np.float32)
    blended = share * photos[random.integers(len(photos), size=count)]
    blended += (1 - share) * others[random.integers(len(others), size=count)]
    return np.packbits((blended > 0).reshape(count, -1), axis=1)


def in_chunks(count: int) -> list[int]:
    """Numbers of rows of at most `AT_ONCE` that add up to `count`."""
    return [min(AT_ONCE, count - done) for done in range(0, count, AT_ONCE)]


def time_of(number: int) -> datetime:
    return START + timedelta(seconds=int(number))


def row_of(number: int, phash: np.ndarray, sent_again: bool) -> tuple:
    """A row of `predictions`, in the order of its columns."""
    sha256 = f"{0 if sent_again else number:064x}"
    answer = (640, 480, 90_000, 128.0, 0.5, "damaged", 0.9, False, "")
    names = (f"{number:032x}", time_of(number), "2026-W01", OWNER, "20260101-0000-0000", sha256)
    return (number, *names, phash.tobytes(), *answer, False, False, 0.4)


def rows_of(hashes: np.ndarray) -> Iterator[tuple]:
    for number, phash in enumerate(hashes, 1):
        yield row_of(number, phash, sent_again=number > len(hashes) - SENT_AGAIN)


def keys_of(hashes: np.ndarray) -> Iterator[tuple[int, str, int]]:
    """All rows of `similarity_keys`, sorted, because that is much faster to insert."""
    keys = np.array([stored_keys(phash) for phash in hashes])
    order = np.argsort(keys, axis=None, kind="stable")
    for key, place in zip(keys.reshape(-1)[order].tolist(), order.tolist(), strict=True):
        yield key, OWNER, place // KEYS + 1


def fill(engine: Engine, hashes: np.ndarray) -> None:
    """Write all rows through the driver, which is faster than SQLAlchemy."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        for table, rows in ((predictions, rows_of(hashes)), (similarity_keys, keys_of(hashes))):
            if connection.dialect.name == "sqlite":
                driver.execute("BEGIN")
                marks = ", ".join("?" * len(table.columns))
                driver.executemany(f"INSERT INTO {table.name} VALUES ({marks})", map(plain, rows))
            else:
                driver.execute("SET statement_timeout = 0")
                with driver.cursor().copy(f"COPY {table.name} FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            driver.commit()
        driver.execute("ANALYZE")
        driver.commit()
        if connection.dialect.name == "sqlite":
            # The service never leaves so much in the log, which slows reading down.
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()  # otherwise the disk would be busy during the first lookups


def plain(row: tuple) -> tuple:
    """The row with its time as SQLAlchemy writes it in SQLite."""
    if len(row) == len(similarity_keys.columns):
        return row
    written = row[2].replace(tzinfo=None).isoformat(" ", "microseconds")
    return (*row[:2], written, *row[3:])


def look_up(engine: Engine, query: Query, owner: str | None = OWNER) -> SeenBefore | None:
    with engine.connect() as connection:
        return find_seen_before(connection, owner, *query)


def copies_of(
    kind: Callable, paths: Sequence[Path], chosen: np.ndarray
) -> Iterator[tuple[int, Query]]:
    """For each chosen photo, the number of its row and a copy of this kind."""
    random = np.random.default_rng(len(kind.__name__))
    for place in chosen:
        copy = as_jpeg(kind(decode(paths[place].read_bytes()), random))
        yield place + 1, ("a copy", waves(copy))


def report_found(engine: Engine, paths: Sequence[Path], copied: int) -> None:
    """Print the share of copies of the first rows' photos that are found, for each kind."""
    chosen = np.random.default_rng(1).choice(len(paths), min(copied, len(paths)), replace=False)
    for kind in (kind for kind in (*KINDS, *HARD_KINDS) if kind is not mirrored):
        found = [
            seen is not None and seen.first <= time_of(number)
            for number, query in copies_of(kind, paths, chosen)
            for seen in [look_up(engine, query)]
        ]
        print(f"  {kind.__name__:16} {np.mean(found):6.1%}")


def report_strangers(engine: Engine, paths: Sequence[Path], photos: np.ndarray) -> None:
    """Print which photos that are not in the database were called similar to one in it."""
    found = []
    for path, photo in zip(paths, photos, strict=True):
        if seen := look_up(engine, ("a stranger", photo)):
            found.append(f"{path}: {seen.times}, last {int(seen.prediction_id, 16):,}")
    print(f"  {len(found)} of {len(paths):,} photos that are not in it are similar to one in it")
    print(*(f"    {line}" for line in found), sep="\n")


def report_times(engine: Engine, queries: dict[str, Sequence[Query]]) -> None:
    """Print the median and the 95th percentile of lookups in milliseconds."""
    for name, some in queries.items():
        owner = None if name == "all keys" else OWNER
        seconds = []
        for query in some:
            start = time.perf_counter()
            look_up(engine, query, owner)
            seconds.append(time.perf_counter() - start)
        median, most = np.percentile(seconds, [50, 95]) * 1000
        print(f"  {name:24} median {median:5.2f} ms, 95 % below {most:5.2f} ms")


def timed_queries(photos: np.ndarray, strangers: np.ndarray) -> dict[str, list[Query]]:
    """The lookups to time, by name."""
    new = [("new", photo) for photo in strangers[: len(strangers) // 2]]
    return {
        "warming up": [("new", photo) for photo in strangers[len(strangers) // 2 :]],
        "new photos": new,
        "exact copies": [(f"{place + 1:064x}", photo) for place, photo in enumerate(photos)],
        "all keys": new,
        "sent 10,000 times": [(f"{0:064x}", photos[1])] * 100,
        "backdrop of 50,000": [("new", photos[0])] * 100,
    }


def measure(address: str, hashes: np.ndarray, work: Callable[[Engine], None]) -> None:
    """Fill a new database with these rows, then do the work with it."""
    migrate(address)
    engine = connect(address)
    start = time.perf_counter()
    fill(engine, hashes)
    print(f"{engine.dialect.name}: {len(hashes):,} rows in {time.perf_counter() - start:.0f} s")
    work(engine)
    engine.dispose()


def main() -> None:
    """Parse the options, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="PHOTO_FOLDER")
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: a million")
    args = parser.parse_args()
    paths, photos = read(args.folders)
    report_pairs(paths, np.stack([hash_of(photo) for photo in photos]))
    kept = np.random.default_rng(1).random(len(paths)) >= 0.5
    kept_paths = [paths[number] for number in np.flatnonzero(kept)]
    others = np.random.default_rng(2).permutation(np.flatnonzero(~kept))[:STRANGERS]
    hashes = many_hashes(photos[kept], args.rows)
    queries = timed_queries(photos[kept][:1000], photos[others])

    def all_reports(engine: Engine) -> None:
        report_times(engine, queries)
        report_found(engine, kept_paths, COPIED)
        report_strangers(engine, [paths[number] for number in others], photos[others])

    with tempfile.TemporaryDirectory(prefix="seen-before-") as folder:
        measure(f"sqlite:///{folder}/records.db", hashes, all_reports)
    with running_postgres() as server:
        measure(server.url, hashes, lambda engine: report_times(engine, queries))


if __name__ == "__main__":
    main()
