import cv2
import numpy as np

from fashionsearchnet.data.preparation.near_copies import find_near_copies, miniature


def photo(seed, height=80, width=60):
    """A smooth picture on white, as product photos are; uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (6, 5, 1), np.uint8) + rng.integers(0, 30, 3, np.uint8)
    image = np.full((height, width, 3), 255, np.uint8)
    inner = cv2.resize(coarse, (width - 16, height - 16), interpolation=cv2.INTER_CUBIC)
    image[8:-8, 8:-8] = inner
    return image


def saved_again(image, quality):
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_copies_that_were_saved_again_or_scaled_are_found():
    photos = [photo(seed) for seed in range(60)]
    copies = [saved_again(photos[3], 90), saved_again(photos[7], 75)]
    copies.append(cv2.resize(photos[9], (120, 160), interpolation=cv2.INTER_CUBIC))
    found = find_near_copies([miniature(image) for image in [*photos, *copies]])
    assert found == [(3, 60), (7, 61), (9, 62)]


def test_other_colours_shapes_and_single_pictures_are_no_copies():
    image = photo(0)
    others = [255 - image, image[..., ::-1].copy(), np.ascontiguousarray(image[:, ::-1])]
    others.append(cv2.resize(image, (60, 60)))
    assert find_near_copies([miniature(i) for i in [image, *others]]) == []
    assert find_near_copies([miniature(image)]) == []
    assert find_near_copies([]) == []


def test_blank_pictures_are_compared_within_bounds():
    found = find_near_copies([miniature(np.full((20, 20, 3), 250, np.uint8))] * 300)
    assert 299 <= len(found) < 300 * 65
