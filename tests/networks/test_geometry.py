import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.networks.backbones import Backbone, Trunk, build_backbone


def seen_by(backbone: Backbone, images, cell):
    """The first and last row and column of pixels that a cell depends on, over all images."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(backbone.model(images)[:, cell[0], cell[1]])
    touched = np.abs(tape.gradient(total, images).numpy()).max(axis=(0, 3)) > 0
    rows, columns = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1], columns[0], columns[-1]


@pytest.mark.parametrize(
    ("first_stride", "image_size", "cell"), [(1, 64, (3, 8)), (2, 99, (4, 6)), (4, 227, (6, 6))]
)
def test_cells_look_at_pixels_around_their_centre(rng, first_stride, image_size, cell):
    keras.utils.set_random_seed(0)
    backbone = build_backbone(Trunk(width=0.05, first_stride=first_stride), image_size)
    images = rng.normal(0.0, 60.0, (4, image_size, image_size, 3)).astype(np.float32)
    top, bottom, left, right = seen_by(backbone, images, cell)
    field = 11 + 30 * first_stride
    assert bottom - top + 1 == right - left + 1 == field  # not cut by the border
    for first, last, position in ((top, bottom, cell[0]), (left, right, cell[1])):
        centre = (first + last + 1) / 2  # the outer edges of the pixels
        assert centre == backbone.geometry.first_centre + position * backbone.geometry.cell_stride


def see_centres_only(model):
    """Leaves of every kernel its middle, so that a cell sees the pixels around its centre.

    Squeeze-and-excitation looks at the whole image; it is switched off.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            share = 1.0
        elif isinstance(layer, keras.layers.Conv2D):
            share = 0.0 if "_se_" in layer.name else 1.0 / layer.kernel.shape[2]
        else:
            continue
        kernel = np.zeros(layer.kernel.shape, np.float32)
        kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = share
        layer.kernel.assign(kernel)


@pytest.mark.parametrize(
    ("name", "image_size"),
    [
        ("efficientnet_lite0", 96),
        ("efficientnet_lite0", 75),
        ("mobilenet_v2", 96),
        ("mobilenet_v2", 75),
        ("resnet50", 96),
        ("densenet121", 96),
        ("efficientnet_v2_b0", 96),
        ("inception_resnet_v2", 139),
    ],
)
def test_cells_of_every_tap_lie_around_their_centre(monkeypatch, rng, name, image_size):
    # The largest of a pooling's cells may be any; their mean looks at all of them.
    monkeypatch.setattr(
        keras.layers.MaxPooling2D,
        "call",
        lambda self, x: keras.ops.average_pool(x, self.pool_size, self.strides, self.padding),
    )
    backbone = build_backbone(Trunk(name), image_size)
    see_centres_only(backbone.network)
    # Small, so that the sums of the residual blocks stay below the limit of the activations.
    images = tf.constant(rng.uniform(1e-8, 2e-8, (1, image_size, image_size, 3)), tf.float32)
    network = keras.Model(backbone.network.input, dict(backbone.maps))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        # The middle of three cells is cut by no border.
        sums = {tap: tf.reduce_sum(values[0, 1, 1]) for tap, values in network(images).items()}
    for tap, total in sums.items():
        touched = np.abs(tape.gradient(total, images)[0].numpy()).max(axis=2) > 0
        geometry = backbone.geometries[tap]
        for axis in (0, 1):
            pixels = np.flatnonzero(touched.any(axis=axis))
            centre = geometry.first_centre + geometry.cell_stride
            assert (pixels[0] + pixels[-1] + 1) / 2 == centre, tap  # the pixels' outer edges
