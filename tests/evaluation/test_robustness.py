"""Photos that were told apart by their quality alone no longer are."""

import cv2
import numpy as np

from car_damage.evaluation.robustness import SIDE, equalise
from tests.photo_files import texture


def sharpness(image):
    return cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var()


def shrunk_before(image):
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def test_a_sharp_photo_and_its_thumbnail_come_out_alike():
    sharp = texture(0, 320, 320)
    thumbnail = shrunk_before(sharp)
    assert sharpness(sharp) > 10 * sharpness(thumbnail)
    assert sharpness(equalise(sharp)) < 2 * sharpness(equalise(thumbnail))


def test_what_the_photo_shows_stays():
    image = texture(1, 224, 224)
    equalised = equalise(image)
    assert equalised.shape == image.shape
    assert equalised.dtype == np.uint8
    difference = cv2.blur(equalised, (15, 15)).astype(int) - cv2.blur(image, (15, 15))
    assert np.abs(difference).mean() < 3


def test_images_smaller_than_that_are_not_enlarged_on_the_way():
    image = np.full((48, 48, 3), (200, 30, 30), np.uint8)
    assert np.abs(equalise(image).astype(int) - image).max() < 5
