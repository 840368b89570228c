"""What is stored: rows in a database, and files in a folder that can be out of order."""

import os

from sqlalchemy import Engine, Table, func, select

from car_damage.records import database, store
from car_damage.records.entry import Entry
from car_damage.records.kept_photos import KeptPhotos, PhotosUnavailable
from car_damage.records.tables import predictions


class Photos(KeptPhotos):
    """Kept photos that take any bytes for any name, and can be out of order."""

    works = True

    def delete(self, sha256: str) -> None:
        """Delete a photo's file, or fail."""
        if not self.works:
            raise PhotosUnavailable("KEEP_PHOTOS cannot be reached: no network")
        super().delete(sha256)

    def names(self) -> list[str]:
        """The names of all files."""
        return sorted(name for _, _, names in os.walk(self._root) for name in names)


def count(engine: Engine, table: Table) -> int:
    """The number of a table's rows."""
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def forget(engine: Engine, photos: KeptPhotos | None, one: Entry) -> None:
    """Delete an entry as DELETE does."""
    with database.writing(engine).begin() as connection:
        wanted = predictions.c.id == one.row["id"]
        number = connection.scalars(select(predictions.c.number).where(wanted)).one()
        store.forget(connection, photos, number)
