import numpy as np
from PIL import Image

from car_damage.dataset.close_ups import cut_close_ups
from tests.photo_files import jpeg, texture


def test_close_ups_are_different_squares_of_the_models_size_that_the_seed_decides(tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(jpeg(texture(0, 1600, 1200)))
    crops, again = (cut_close_ups(path, 2, 224, np.random.default_rng(7)) for _ in range(2))
    assert [crop.shape for crop in crops] == [(224, 224, 3)] * 2
    assert (crops[0] != crops[1]).mean() > 0.5
    np.testing.assert_array_equal(crops, again)


def test_close_ups_keep_the_detail_of_the_full_photo(tmp_path):
    """A crop of a checkerboard of single pixels keeps its contrast; a shrunk photo has none."""
    board = np.indices((900, 1200)).sum(axis=0) % 2 * 255
    path = tmp_path / "board.png"
    Image.fromarray(np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)).save(path)
    (crop,) = cut_close_ups(path, 1, 540, np.random.default_rng(1))
    assert crop.std() > 30
