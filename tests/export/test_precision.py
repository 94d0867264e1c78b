"""Weights of reduced precision, and what they change."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from evaluation_fakes import FakeDataset, FakeSystem
from exported import PlainSystem, load_images

from fashionsearchnet import evaluation
from fashionsearchnet.export import precision
from fashionsearchnet.export.cases import sample_images
from fashionsearchnet.export.signatures import ServedSystem


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_reduced_precision_halves_the_kernels(kind):
    system = PlainSystem()
    served = ServedSystem(system, kind)
    kernels = {weight.dtype.name for weight in served.weights if len(weight.shape) > 1}
    biases = {weight.dtype.name for weight in served.weights if len(weight.shape) == 1}
    assert (kernels, biases) == ({kind}, {"float32"})
    images = tf.constant(sample_images(16))
    found = served.encode_gallery(images)["embedding"]
    before = system.encode_gallery(load_images(system, images.numpy())).numpy()
    precision.round_weights(system, kind)
    wanted = system.encode_gallery(load_images(system, images.numpy())).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert not np.allclose(wanted, before, rtol=1e-5, atol=1e-6)


def test_what_float16_cannot_hold_is_refused():
    system = PlainSystem()
    system.projection.kernel.assign(system.projection.kernel * 1e6)
    with pytest.raises(ValueError, match=r"kernel reaches .*, and precision float16 ends at 65504"):
        precision.round_weights(system, "float16")
    precision.round_weights(system, "bfloat16")


@pytest.mark.parametrize(("spread", "is_lost"), [(1.0, False), (1e-3, True)])
def test_change_of_accuracy_is_that_of_the_rounded_weights(spread, is_lost):
    class Weighted(FakeSystem):
        """Tells values apart by so little that bfloat16 loses it, or by enough."""

        def __init__(self):
            super().__init__()
            self.kernel = keras.Variable(1.0 + spread * np.eye(7, dtype=np.float32))

        def query_embedding(self, features, manipulation):
            return super().query_embedding(features, manipulation) @ self.kernel.value

        def gallery_embedding(self, features, manipulation=None):
            return features["embedding"] @ self.kernel.value

    protocol = evaluation.ManipulationProtocol(top_k=(1,), headline_k=1, num_resamples=50)
    dataset = FakeDataset(missing=False)
    found = precision.measure_change(Weighted(), dataset, protocol, "bfloat16")
    assert found["float32"] == 1.0
    assert found["difference"] == pytest.approx(found["reduced"] - 1.0)
    assert (found["changed"] > 0) == is_lost
    low, high = found["interval"]
    assert low <= found["difference"] <= high <= 0.0
    assert (found["figure"], found["dataset"]) == ("Top-1", "fakes/tiny")
