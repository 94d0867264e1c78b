import cv2
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.networks.image_input import MapGeometry
from fashionsearchnet.systems import regions


def threshold_by_hand(activation, threshold, scaling):
    """bool [h, w] of one map."""
    activation = activation.astype(np.float32)
    low = activation.min() if scaling == "min_max" else np.float32(0)
    high = activation.max()
    if high <= low:
        return np.ones(activation.shape, bool)
    return activation - low > np.float32(threshold) * (high - low)


def largest_by_opencv(mask, activation):
    """bool [h, w]: by area, then by activation, then by the first cell in reading order."""
    number, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    candidates = []
    for label in range(1, number):
        region = labels == label
        area = int(stats[label, cv2.CC_STAT_AREA])
        first = int(np.flatnonzero(region)[0])
        candidates.append((-area, -float(activation[region].sum(dtype=np.float64)), first, label))
    return labels == min(candidates)[3]


def box_by_hand(region):
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return [rows[0], columns[0], rows[-1], columns[-1]]


def spiral(height, width):
    """A path one cell wide, wound as long as there is room: the most rounds for a flood."""
    path = np.zeros((height, width), bool)
    y, x, dy, dx = 0, 0, 0, 1
    path[0, 0] = True

    def free(y, x):
        inside = 0 <= y < height and 0 <= x < width
        return inside and not path[y, x]

    def turnable(y, x, dy, dx):
        beyond = (y + 2 * dy, x + 2 * dx)
        blocked = 0 <= beyond[0] < height and 0 <= beyond[1] < width and path[beyond]
        return free(y + dy, x + dx) and not blocked

    while True:
        if not turnable(y, x, dy, dx):
            dy, dx = dx, -dy
            if not turnable(y, x, dy, dx):
                return path
        y, x = y + dy, x + dx
        path[y, x] = True


def named_maps(height, width):
    """Maps that are hard in one way or another, float32 [h, w] each."""
    rng = np.random.default_rng(height * 100 + width)
    rows, columns = np.indices((height, width))
    maps = {f"noise {i}": rng.normal(size=(height, width)) for i in range(20)}
    for i in range(20):
        blurred = cv2.GaussianBlur(rng.normal(size=(height, width)), (5, 5), 1.2)
        maps[f"smooth {i}"] = blurred + rng.choice([-0.2, 0.0, 0.2])
    for i in range(20):
        # Few levels: many regions of the same area, told apart by sums that floats hold exactly.
        maps[f"ties {i}"] = (
            rng.integers(-1, 4, (height, width)) / 4 * (rng.random((height, width)) < 0.4)
        )
    maps["spiral"] = spiral(height, width)
    maps["spiral's gap"] = ~spiral(height, width)
    maps["checkerboard"] = (rows + columns) % 2
    maps["stripes"] = rows % 2
    maps["posts"] = columns % 2
    maps["comb"] = (columns % 2 == 0) | (rows == height - 1)
    maps["comb upside down"] = (columns % 2 == 0) | (rows == 0)
    maps["snake"] = (rows % 2 == 0) | (columns == np.where(rows % 4 == 1, width - 1, 0))
    maps["dots"] = (rows % 2 == 0) & (columns % 2 == 0)
    maps["dots, one brighter"] = maps["dots"] + 0.5 * ((rows == 2) & (columns == 2))
    maps["zero"] = np.zeros((height, width))
    maps["one"] = np.ones((height, width))
    maps["negative"] = -1.0 - rng.random((height, width))
    maps["first cell"] = (rows == 0) & (columns == 0)
    maps["last cell"] = (rows == height - 1) & (columns == width - 1)
    maps["right edge"] = columns == width - 1
    maps["corners that touch"] = (rows // 3 + columns // 3) % 2
    maps["huge"] = 1e30 * rng.random((height, width))
    maps["tiny"] = 1e-30 * rng.random((height, width))
    return {name: np.asarray(m, np.float32) for name, m in maps.items()}


@pytest.mark.parametrize("scaling", regions.MAP_SCALINGS)
@pytest.mark.parametrize(
    ("height", "width", "threshold"),
    [
        (13, 13, 0.2),
        (13, 13, 0.0),
        (9, 14, 0.2),
        (4, 62, 0.3),
        (20, 3, 0.8),
        (1, 6, 0.2),
        (6, 1, 0.2),
        (1, 1, 0.2),
    ],
)
def test_boxes_equal_opencv(height, width, threshold, scaling):
    maps = named_maps(height, width)
    stacked = np.stack(list(maps.values()))

    @tf.function(autograph=False)  # eager loops take seconds
    def localize(maps):
        mask = regions.threshold_maps(maps, threshold, scaling)
        boxes = regions.attention_boxes(maps[None], threshold, scaling)[0]
        return mask, regions.largest_regions(mask, maps), boxes

    mask, found, boxes = (result.numpy() for result in localize(tf.constant(stacked)))
    assert boxes.dtype == np.int32 and found.shape == stacked.shape
    for i, (name, activation) in enumerate(maps.items()):
        expected_mask = threshold_by_hand(activation, threshold, scaling)
        np.testing.assert_array_equal(mask[i], expected_mask, name)
        expected = largest_by_opencv(expected_mask, activation)
        np.testing.assert_array_equal(found[i], expected, name)
        np.testing.assert_array_equal(boxes[i], box_by_hand(expected), name)


def test_the_spiral_is_long():
    assert spiral(13, 13).sum() > 80  # or the hardest case would not be one


def test_the_threshold_is_a_share_of_the_maximum():
    activation = np.array([[[0.0, 0.2, 0.21], [1.0, -1.0, 0.19]]], np.float32)
    np.testing.assert_array_equal(
        regions.threshold_maps(activation, 0.2)[0], [[False, False, True], [True, False, False]]
    )
    # Stretched to [0, 1]: 0.5, 0.6, 0.605 and 1, 0, 0.595.
    np.testing.assert_array_equal(
        regions.threshold_maps(activation, 0.6, "min_max")[0],
        [[False, False, True], [True, False, False]],
    )
    with pytest.raises(ValueError, match="scaling must be one of max, min_max; got 'softmax'"):
        regions.threshold_maps(activation, 0.2, "softmax")


def test_corners_join_cells():
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]], bool)
    activation = np.where(mask, 1.0, 0.0).astype(np.float32)
    activation[2:, 3] = 0.9
    found = regions.largest_regions(tf.constant(mask[None]), tf.constant(activation[None]))
    np.testing.assert_array_equal(
        found[0], [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    activation[2:, 3] = 1.1  # the same area, but brighter
    found = regions.largest_regions(tf.constant(mask[None]), tf.constant(activation[None]))
    np.testing.assert_array_equal(regions.region_boxes(found)[0], [2, 3, 3, 3])


def test_maps_without_any_cell_get_the_whole_box():
    maps = np.full((1, 2, 4, 5), np.nan, np.float32)
    maps[0, 1] = 1.0
    expected = [[0, 0, 3, 4], [0, 0, 3, 4]]
    np.testing.assert_array_equal(regions.attention_boxes(maps, 0.2)[0], expected)
    np.testing.assert_array_equal(regions.attention_boxes(maps, 1.0)[0], expected)


def test_maps_wider_than_a_machine_word():
    with pytest.raises(ValueError, match="width of at most 62; got 63"):
        regions.attention_boxes(np.zeros((1, 1, 2, 63), np.float32), 0.2)


@pytest.fixture(scope="module")
def batch():
    """float32 [30, 3, 13, 13] and the boxes that eager execution finds."""
    rng = np.random.default_rng(5)
    maps = rng.normal(size=(30, 3, 13, 13)).astype(np.float32)
    return maps, regions.attention_boxes(maps, 0.2).numpy()


def test_an_exported_graph_takes_any_batch_size(batch, tmp_path):
    maps, expected = batch
    module = tf.Module()
    module.boxes = tf.function(
        lambda maps: regions.attention_boxes(maps, 0.2),
        input_signature=[tf.TensorSpec([None, 3, 13, 13])],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for number in (30, 1, 0):
        np.testing.assert_array_equal(loaded.boxes(maps[:number]), expected[:number])


def test_the_graph_compiles_under_xla(batch):
    maps, expected = batch
    compiled = tf.function(
        lambda maps: regions.attention_boxes(maps, 0.2), jit_compile=True, autograph=False
    )
    np.testing.assert_array_equal(compiled(maps), expected)


def test_crop_boxes_by_hand():
    boxes = tf.constant([[0, 0, 12, 6], [3, 2, 3, 4]])
    expected = np.array([[0.0, 0.0, 1.0, 1.0], [0.25, 1 / 3, 0.25, 2 / 3]])
    np.testing.assert_allclose(regions.crop_boxes(boxes, 13, 7), expected, atol=1e-6)
    np.testing.assert_array_equal(regions.crop_boxes(tf.zeros([1, 4], tf.int32), 1, 1), [[0] * 4])


def test_samples_by_products_are_those_of_crop_and_resize(rng):
    maps = tf.constant(rng.normal(size=(5, 13, 9, 4)), tf.float32)
    first = rng.integers(0, (13, 9), size=(5, 3, 2))
    last = rng.integers(first, (13, 9))
    boxes = tf.constant(np.concatenate([first, last], axis=-1), tf.int32)
    found, gradients = [], []
    for sample in (regions.sample, regions.sample_by_products):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            samples = sample(maps, boxes, 6)
            loss = tf.reduce_sum(tf.square(samples))
        found.append(samples)
        gradients.append(tape.gradient(loss, maps))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    np.testing.assert_allclose(gradients[1], gradients[0], atol=1e-3)
    corner = tf.gather_nd(maps[0], boxes[0, :, :2])
    np.testing.assert_allclose(tf.reshape(found[1], [5, 3, 6, 6, 4])[0, :, 0, 0], corner, atol=1e-5)


def test_image_boxes_by_hand():
    # Cells of 16 pixels whose first is centred 17.5 pixels from the edge of a 227 pixel image.
    boxes = tf.constant([[[0, 0, 12, 12], [6, 6, 6, 6]]])
    result = regions.image_boxes(boxes, MapGeometry(17.5, 16.0, 227))
    expected = np.array([[9.5, 9.5, 217.5, 217.5], [105.5, 105.5, 121.5, 121.5]]) / 227
    np.testing.assert_allclose(result[0], expected, atol=1e-6)


def test_image_boxes_stay_within_the_image():
    boxes = tf.constant([[0, 1, 2, 3]])
    result = regions.image_boxes(boxes, MapGeometry(2.0, 10.0, 30))
    np.testing.assert_allclose(result[0], [0.0, 7 / 30, 27 / 30, 1.0], atol=1e-6)
