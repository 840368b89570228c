import numpy as np
import pytest
from PIL import Image

from car_damage.dataset.close_ups import cut_close_ups
from tests.photo_files import jpeg, texture


@pytest.fixture
def large_photo(tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(jpeg(texture(0, 1600, 1200)))
    return path


def test_close_ups_are_squares_of_the_models_size(large_photo):
    crops = cut_close_ups(large_photo, 3, 224, np.random.default_rng(0))
    assert [crop.shape for crop in crops] == [(224, 224, 3)] * 3


def test_close_ups_of_one_photo_differ(large_photo):
    first, second = cut_close_ups(large_photo, 2, 64, np.random.default_rng(0))
    assert (first != second).mean() > 0.5


def test_the_same_seed_cuts_the_same_close_up(large_photo):
    first, again = (cut_close_ups(large_photo, 1, 64, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_close_ups_keep_the_detail_of_the_full_photo(tmp_path):
    """A crop of a checkerboard of single pixels keeps its contrast; a shrunk photo has none."""
    board = np.indices((900, 1200)).sum(axis=0) % 2 * 255
    path = tmp_path / "board.png"
    Image.fromarray(np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)).save(path)
    (crop,) = cut_close_ups(path, 1, 540, np.random.default_rng(1))
    assert crop.std() > 30
