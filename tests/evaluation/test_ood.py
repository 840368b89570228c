from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from car_damage import photos
from car_damage.dataset.arrays import Dataset, Split
from car_damage.dataset.drawn.scene import smooth_noise
from car_damage.dataset.sample import draw_car
from car_damage.evaluation.inference import graph_outputs
from car_damage.evaluation.ood import (
    COMPONENTS,
    fit_limits,
    principal,
    quality_limits,
    shares_warned,
)
from car_damage.photo_warnings import (
    Quality,
    WarningLimits,
    distance,
    find_warnings,
    measure_quality,
)
from tests import no_cars
from tests.images import config_of, row, split_of
from tests.tiny_model import SIZE

GOOD = Quality(sharpness=0.7, brightness=200.0, blown=0.0, short_side=500)
LIMITS = WarningLimits(
    sharpness=0.5,
    brightness=100.0,
    blown=0.3,
    short_side=150,
    distance=0.2,
    components=np.eye(2, 8, dtype=np.float32),
)
FAMILIAR = np.eye(8, dtype=np.float32)[0]
STRANGE = np.eye(8, dtype=np.float32)[5]


def measured(photo: np.ndarray) -> Quality:
    return measure_quality(photo, min(photo.shape[:2]))


# the measures


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ()),
        ({"sharpness": 0.49}, ("blurred",)),
        ({"brightness": 99.0}, ("dark",)),
        ({"blown": 0.31}, ("overexposed",)),
        ({"short_side": 149}, ("low_resolution",)),
        (
            {"short_side": 64, "blown": 1.0, "sharpness": 0.0},
            ("blurred", "overexposed", "low_resolution"),
        ),
    ],
)
def test_each_fault_has_a_warning_in_a_fixed_order(change, words):
    quality = replace(GOOD, **change)
    assert find_warnings(quality, FAMILIAR, LIMITS) == words
    assert find_warnings(quality, STRANGE, LIMITS) == (*words, "unfamiliar")


def test_at_the_limits_there_is_no_warning():
    at_limits = Quality(0.5, 100.0, 0.3, 150)
    on_limit = np.sqrt([0.8, 0, 0.2, 0, 0, 0, 0, 0])
    exact = LIMITS.model_copy(update={"distance": distance(on_limit, LIMITS.components)})
    assert find_warnings(at_limits, on_limit, exact) == ()


@pytest.mark.parametrize(
    "blur",
    [lambda photo: cv2.GaussianBlur(photo, (0, 0), 6), lambda photo: cv2.blur(photo, (25, 1))],
)
def test_blur_and_camera_shake_reduce_sharpness(blur):
    photo, _ = draw_car(np.random.default_rng(1), damaged=False)
    assert measured(blur(photo)).sharpness < measured(photo).sharpness - 0.2


def test_a_smooth_object_with_sharp_edges_is_sharp():
    smooth = np.full((300, 400, 3), 90, np.uint8)
    cv2.ellipse(smooth, (200, 150), (130, 70), 10, 0, 360, (180, 40, 40), -1)
    blurred = cv2.GaussianBlur(smooth, (0, 0), 8)
    assert measured(smooth).sharpness > 0.7 > 0.6 > measured(blurred).sharpness


def test_a_thumbnail_is_as_sharp_as_its_original():
    photo, _ = draw_car(np.random.default_rng(3), damaged=False)
    thumbnail = cv2.resize(photo, (200, 150), interpolation=cv2.INTER_AREA)
    images = [photos.fit(picture, 224) for picture in (photo, thumbnail)]
    large, small = (measured(image).sharpness for image in images)
    assert small == pytest.approx(large, abs=0.08)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_colour_is_not_sharp(level):
    found = measured(np.full((90, 120, 3), level, np.uint8))
    assert found == Quality(0.0, level, float(level == 255), 90)


def test_a_lamp_at_night_does_not_make_a_photo_bright():
    night = np.full((100, 100, 3), 15, np.uint8)
    night[:30, :30] = 255
    assert measured(night).brightness == 15


def test_a_car_cut_out_on_white_is_not_overexposed():
    cut_out = np.full((100, 200, 3), 255, np.uint8)
    cut_out[25:75, 50:150] = 120
    assert measured(cut_out).blown == 0
    assert measured(np.full((100, 200, 3), 252, np.uint8)).blown == 1


# the distance


@pytest.mark.parametrize("length", [1, 100])
def test_distance_is_the_share_of_an_embedding_outside_for_any_length(length):
    embedding = length * np.array([3, 0, 4, 0, 0, 0, 0, 0], np.float32)
    assert distance(embedding, LIMITS.components) == pytest.approx(16 / 25)


def test_an_embedding_of_zeros_has_the_largest_distance():
    assert distance(np.zeros(8), LIMITS.components) == 1.0


def test_limits_can_be_read_back_from_model_json():
    components = principal(np.random.default_rng(0).normal(size=(50, 128)))
    limits = LIMITS.model_copy(update={"components": components})
    again = WarningLimits.model_validate_json(limits.model_dump_json())
    np.testing.assert_array_equal(again.components, components)
    assert again.model_dump_json() == limits.model_dump_json()


def test_stored_limits_take_under_200_kilobytes_for_the_widest_backbone():
    components = np.ones((COMPONENTS, 2048), np.float32)
    assert len(LIMITS.model_copy(update={"components": components}).model_dump_json()) < 200_000


def test_a_version_without_a_limit_never_gives_that_warning():
    worst = Quality(0.0, 0.0, 1.0, 1)
    assert find_warnings(worst, np.zeros(8), WarningLimits()) == ()
    assert find_warnings(worst, np.zeros(8), WarningLimits(brightness=50)) == ("dark",)


# fitting


def qualities(count: int, **ranges: tuple[float, float]) -> list[Quality]:
    values = zip(*(np.linspace(*ends, count) for ends in ranges.values()), strict=True)
    return [replace(GOOD, **dict(zip(ranges, each, strict=True))) for each in values]


@pytest.mark.parametrize("count", [1, 7, 99, 100, 101, 1000])
def test_at_most_one_training_photo_in_a_hundred_gets_each_warning(count):
    poor = qualities(
        count, sharpness=(0, 0.5), brightness=(0, 90), blown=(0.3, 1), short_side=(64, 220)
    )
    limits = quality_limits(poor, 224, [0.1], LIMITS.components)
    warned = [find_warnings(photo, FAMILIAR, limits) for photo in poor]
    for word in ("blurred", "dark", "overexposed", "low_resolution"):
        share = np.mean([word in words for words in warned])
        assert share <= 0.01
        assert share > 0 or count < 101


def test_a_good_photo_gets_no_warning_even_if_all_training_photos_are_excellent():
    excellent = qualities(200, sharpness=(0.75, 0.9), brightness=(250, 255), short_side=(900, 4000))
    limits = quality_limits(excellent, 224, [0.1], LIMITS.components)
    good = Quality(sharpness=0.65, brightness=150, blown=0.15, short_side=230)
    assert find_warnings(good, FAMILIAR, limits) == ()
    assert limits.short_side == 224


def test_one_unseen_image_in_a_hundred_may_be_unfamiliar():
    limits = quality_limits([GOOD], 224, np.linspace(0, 1, 1001), LIMITS.components)
    assert limits.distance == pytest.approx(0.99)


def test_an_embedding_in_another_direction_is_farther_than_training_embeddings():
    rng = np.random.default_rng(0)
    familiar = rng.uniform(1, 2, (300, 4)) @ rng.normal(size=(4, 64))
    components = principal(familiar[:200])
    assert components.shape == (16, 64)
    near = [distance(row, components) for row in familiar[200:]]
    assert max(near) < 1e-3 < 0.3 < distance(rng.normal(size=64), components)


def test_embeddings_of_zeros_do_not_change_the_components():
    assert np.isfinite(principal(np.zeros((5, 16)))).all()


@pytest.fixture
def graph(tmp_path, tiny_graph) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_graph)
    return path


def split(name: str, seed: int, kind: str = "photo") -> Split:
    """Twenty images of reddish textures."""
    rng = np.random.default_rng(seed)
    colours = rng.uniform((150, 20, 10), (250, 40, 30), (20, 3))
    light = [smooth_noise(rng, (SIZE, SIZE), 4)[..., None] * 0.2 + 0.8 for _ in colours]
    X = np.stack([colour * shade for colour, shade in zip(colours, light, strict=True)])
    rows = [
        row(at, "damaged", kind=kind, split=name, width=100 + at, height=90) for at in range(20)
    ]
    return split_of(rows, X.astype(np.uint8))


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(split("train", 1), split("val", 2), split("test", 3), config_of(size=SIZE))


def embeddings(graph: Path, images: np.ndarray) -> np.ndarray:
    return graph_outputs(graph, images).embeddings


def fitted(graph: Path, dataset: Dataset) -> WarningLimits:
    of_splits = [embeddings(graph, split.X) for split in (dataset.train, dataset.val)]
    return fit_limits(dataset, *of_splits)


def test_a_fitted_version_warns_about_other_kinds_of_photos_only(graph, dataset):
    limits = fitted(graph, dataset)
    assert limits.short_side == SIZE
    blue = np.full((4, SIZE, SIZE, 3), (10, 20, 250), np.uint8)
    far = [distance(row, limits.components) for row in embeddings(graph, blue)]
    near = [distance(row, limits.components) for row in embeddings(graph, dataset.test.X)]
    assert np.mean(np.array(near) > limits.distance) <= 0.2
    assert min(far) > limits.distance


def test_crops_do_not_count_for_the_quality_of_photos(graph, dataset):
    train, crops = dataset.train, split("train", 4, kind="close_up")
    images = np.concatenate([train.X, np.zeros_like(crops.X)])
    together = split_of(train.rows + crops.rows, images)
    with_crops = fitted(graph, replace(dataset, train=together))
    without = fitted(graph, dataset)
    assert with_crops.brightness == without.brightness
    assert with_crops.sharpness == without.sharpness


def test_each_warning_has_its_share_of_test_photos(graph, dataset):
    dark = dataset.test.X.copy()
    dark[:5] //= 8  # five of twenty
    darker = replace(dataset, test=replace(dataset.test, stored=dark))
    shares = shares_warned(fitted(graph, dataset), darker, embeddings(graph, dataset.test.X))
    assert list(shares) == ["blurred", "dark", "overexposed", "low_resolution", "unfamiliar"]
    assert shares["dark"] == 0.25
    assert shares["overexposed"] == 0


# pictures without a car


def test_pictures_without_a_car_are_many_kinds_and_the_same_each_time():
    kinds, again = no_cars.kinds(), no_cars.kinds()
    assert set(kinds) == {"scene", "noise", "text", "texture", "plain", "sample"}
    for kind, pictures in kinds.items():
        assert len(pictures) >= 8
        for picture, twin in zip(pictures, again[kind], strict=True):
            assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
            assert min(picture.shape[:2]) >= photos.MIN_SIDE
            np.testing.assert_array_equal(picture, twin)


def test_pictures_of_one_colour_always_get_a_warning():
    for picture in no_cars.kinds()["plain"]:
        assert "blurred" in find_warnings(measured(picture), FAMILIAR, LIMITS)
