"""The heads of ASENet, CSN, the triplet net and AG-MAN against slow NumPy versions."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.networks.attribute_attention import TableAttention
from fashionsearchnet.systems.agman.attention import GuidedAttention
from fashionsearchnet.systems.asenet.heads import MaskedHead, OneHotAttention, PooledHead

ATTRIBUTES, CHANNELS, HIDDEN, DIM, SIDE = 5, 6, 4, 7, 3

BUILDERS: dict[str, Callable[[], keras.layers.Layer]] = {
    "pooled": lambda: PooledHead(CHANNELS, DIM),
    "masked": lambda: MaskedHead(ATTRIBUTES, CHANNELS, DIM),
    "one_hot": lambda: OneHotAttention(ATTRIBUTES, CHANNELS, HIDDEN, DIM),
    "table": lambda: TableAttention(ATTRIBUTES, CHANNELS, HIDDEN, "batch"),
    "guided": lambda: GuidedAttention(ATTRIBUTES, CHANNELS, DIM, "batch"),
}
EVERY = pytest.mark.parametrize("kind", BUILDERS)


@pytest.fixture
def head(kind):
    """A head whose weights are all at random, also those that start at zero or one."""
    keras.utils.set_random_seed(1)
    found, rng = BUILDERS[kind](), np.random.default_rng(1)
    for variable in found.variables:
        if "moving_variance" in variable.path:
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
        else:
            variable.assign(variable.value + rng.normal(0.0, 0.3, variable.shape))
    return found


@pytest.fixture
def maps(rng):
    return rng.normal(size=(4, SIDE, SIDE, CHANNELS)).astype(np.float32)


def dense(layer, x):
    """A dense layer without its activation."""
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def relu(x):
    return np.maximum(x, 0.0)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def unit(x):
    return x / np.linalg.norm(x)


def normalised(layer, x):
    """Batch normalisation at inference."""
    scale = layer.gamma.numpy() / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
    return (x - layer.moving_mean.numpy()) * scale + layer.beta.numpy()


def gate(layer, x):
    return sigmoid(dense(layer.gate, relu(dense(layer.hidden, x))))


def slow_pooled(head, image, attribute):
    return unit(dense(head.projection, image.reshape(-1, CHANNELS).mean(axis=0))), None


def slow_masked(head, image, attribute):
    mean = image.reshape(-1, CHANNELS).mean(axis=0)
    return unit(dense(head.projection, mean) * relu(head.masks.numpy()[attribute])), None


def slow_one_hot(head, image, attribute):
    cells = image.reshape(-1, CHANNELS)
    one_hot = np.eye(ATTRIBUTES)[attribute]
    condition = np.tanh(one_hot @ head.spatial.numpy())
    logits = [
        np.tanh(dense(head.scores, np.tanh(dense(head.keys, cell)) * condition))[0]
        for cell in cells
    ]
    attention = softmax(np.array(logits))
    summed = sum(weight * cell for weight, cell in zip(attention, cells, strict=True))
    row = relu(one_hot @ head.channel.numpy())
    gated = summed * gate(head.gate, np.concatenate([summed, row]))
    return unit(dense(head.projection, gated)), attention


def slow_table(head, image, attribute):
    cells = image.reshape(-1, CHANNELS)
    vector = head.attribute_table.table.numpy()[attribute]
    condition = np.tanh(dense(head.spatial, vector))
    keys = [
        np.tanh(normalised(head.keys.normalization, dense(head.keys.convolution, cell)))
        for cell in cells
    ]
    attention = softmax(np.array([key @ condition for key in keys]) / np.sqrt(HIDDEN))
    summed = sum(weight * cell for weight, cell in zip(attention, cells, strict=True))
    wanted = relu(dense(head.channel, vector))
    return unit(summed * gate(head.gate, np.concatenate([summed, wanted]))), attention


def slow_guided(head, image, attribute):
    def silu(x):
        return x * sigmoid(x)

    cells = dense(head.reduction, head.w.numpy() * image.reshape(-1, CHANNELS))
    vector = head.attribute_table.table.numpy()[attribute]
    keys = [np.tanh(normalised(head.keys.normalization, cell)) for cell in cells]
    asked = silu(dense(head.spatial, vector))
    spatial = softmax(np.array([key @ asked for key in keys]) / np.sqrt(DIM))
    cells = cells * (head.w1.numpy() * spatial)[:, None]
    planes = np.stack([cells.mean(axis=1), cells.max(axis=1)], axis=-1)
    planes = np.pad(planes.reshape(SIDE, SIDE, 2), [[3, 3], [3, 3], [0, 0]])
    kernel = head.cell_gate.kernel.numpy()[..., 0]  # [7, 7, 2]
    gates = np.array(
        [
            sigmoid((planes[y : y + 7, x : x + 7] * kernel).sum())
            for y in range(SIDE)
            for x in range(SIDE)
        ]
    )
    summed = (cells * gates[:, None]).sum(axis=0)
    wanted = silu(dense(head.channel, vector))
    gated = summed * gate(head.gate, np.concatenate([summed, wanted]))
    looked = spatial * gates
    return unit(gated * relu(head.masks.numpy()[attribute])), looked / looked.sum()


SLOW = {
    "pooled": slow_pooled,
    "masked": slow_masked,
    "one_hot": slow_one_hot,
    "table": slow_table,
    "guided": slow_guided,
}


@EVERY
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_pass_for_many_attributes_gives_what_numpy_gives_for_each(kind, sign, head, maps):
    if kind == "guided":
        head.w1.assign(sign)  # a negative factor turns the maximum over channels into a minimum
    asked = np.array([[0, 3, 4], [1, 1, 2], [4, 0, 3], [2, 2, 0]], np.int32)
    vectors, attention = head(tf.constant(maps), tf.constant(asked))
    for image, row in enumerate(asked):
        for place, attribute in enumerate(row):
            vector, looked = SLOW[kind](head, maps[image].astype(np.float64), attribute)
            np.testing.assert_allclose(vectors[image, place], vector, rtol=2e-4, atol=2e-5)
            if looked is not None:
                found = attention[image, place]
                np.testing.assert_allclose(found, looked, rtol=2e-4, atol=2e-5)


@EVERY
def test_one_pass_equals_a_pass_for_each_attribute(kind, head, maps):
    everyone = np.tile(np.arange(ATTRIBUTES, dtype=np.int32), (len(maps), 1))
    vectors, attention = head(tf.constant(maps), tf.constant(everyone))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1.0, rtol=1e-5)
    if attention is not None:
        np.testing.assert_allclose(np.sum(attention, axis=-1), 1.0, rtol=1e-5)
    for attribute in range(ATTRIBUTES):
        alone, _ = head(tf.constant(maps), tf.constant(everyone[:, attribute : attribute + 1]))
        np.testing.assert_allclose(alone[:, 0], vectors[:, attribute], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("attributes", "dim", "length"), [(5, 7, 1), (3, 12, 4), (9, 4, 0)])
def test_masks_of_agman_start_with_a_slice_for_each_attribute(attributes, dim, length):
    masks = GuidedAttention(attributes, CHANNELS, dim, "none").masks.numpy()
    assert set(np.unique(masks)) <= {np.float32(0.1), np.float32(1.0)}
    if length:
        np.testing.assert_array_equal((masks == 1.0).sum(axis=1), length)
        assert (masks == 1.0).sum(axis=0).max() == 1


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="attention_normalization must be one of batch, none"):
        TableAttention(ATTRIBUTES, CHANNELS, HIDDEN, "layer")
