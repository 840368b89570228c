"""The drawn sample cars: seeded, the same in both classes except for the damage."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from car_damage.dataset.find import LABELS
from car_damage.dataset.sample import draw_car, write_sample_photos
from car_damage.photos import decode, header_size

PER_CLASS = 60


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "raw"
    write_sample_photos(folder, PER_CLASS, seed=1)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def photos_of(folder: Path, label: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / label).iterdir())]


def test_the_same_seed_gives_the_same_bytes_however_many_are_asked_for(written, tmp_path):
    write_sample_photos(tmp_path / "few", 3, seed=1)
    few, many = contents(tmp_path / "few"), contents(written)
    assert len(few) == 6
    assert all(many[name] == data for name, data in few.items())


def test_another_seed_gives_other_photos_which_replace_the_first(written, tmp_path):
    write_sample_photos(tmp_path / "raw", 2, seed=1)
    write_sample_photos(tmp_path / "raw", 1, seed=2)
    other = contents(tmp_path / "raw")
    assert len(other) == 2
    assert not set(contents(written).values()) & set(other.values())


def test_a_run_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError

    monkeypatch.setattr("car_damage.dataset.sample.draw_scene", fails)
    with pytest.raises(RuntimeError):
        write_sample_photos(tmp_path / "raw", 1)
    assert not list(tmp_path.iterdir())


def test_all_drawn_photos_can_be_decoded(written):
    assert [len(photos_of(written, label)) for label in LABELS] == [PER_CLASS, PER_CLASS]
    for data in contents(written).values():
        width, height = header_size(data)
        assert decode(data).dtype == np.uint8
        assert 380 <= width <= 580
        assert 200 <= height <= 480


@pytest.mark.parametrize(
    "measure",
    [
        lambda data: header_size(data)[0],
        lambda data: np.divide(*header_size(data)),
        lambda data: np.sum(Image.open(io.BytesIO(data)).quantization[0]),
        lambda data: decode(data).mean(),
    ],
    ids=["width", "proportions", "jpeg quality", "brightness"],
)
def test_size_quality_and_light_do_not_reveal_the_class(written, measure):
    damaged, undamaged = (
        np.array([measure(data) for data in photos_of(written, label)]) for label in LABELS
    )
    spread = np.concatenate([damaged, undamaged]).std()
    assert spread > 0
    # Four standard errors: the seed is fixed, so this cannot fail by chance later on.
    assert abs(damaged.mean() - undamaged.mean()) < 4 * spread * np.sqrt(2 / PER_CLASS)


@pytest.mark.parametrize("seed", range(8))
def test_damage_changes_what_it_marks_and_nothing_else(seed):
    whole, nowhere = draw_car(np.random.default_rng(seed), damaged=False)
    photo, where = draw_car(np.random.default_rng(seed), damaged=True)
    assert not nowhere.any()
    assert photo.dtype == np.uint8
    assert where.dtype == bool
    assert where.shape == photo.shape[:2] == whole.shape[:2]
    assert 0.002 < where.mean() < 0.35
    changed = cv2.absdiff(photo, whole).max(axis=2)
    assert changed[where].mean() > 10
    assert changed[~where].mean() < 1


def test_no_two_drawn_photos_look_alike(written):
    tiny = np.stack([_thumbnail(data) for data in contents(written).values()])
    alike = np.corrcoef(tiny) - np.eye(len(tiny))
    assert alike.max() < 0.98


def _thumbnail(data: bytes) -> np.ndarray:
    grey = Image.open(io.BytesIO(data)).convert("L").resize((24, 24), Image.Resampling.BOX)
    return np.asarray(grey, float).ravel()
