"""Runs of version 0.1, whose model.json had input and trunk not grouped, still load."""

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE
from small_networks import network

from fashionsearchnet.systems import registry
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2


def build(name):
    if name == "amnet":
        return AMNet(SPACE, feature_dim=8, **network(mean=(1.0, 2.0, 3.0)))
    heads: dict[str, Any] = {"hidden_dims": (4,), "representation_dim": 4, "global_dim": 8}
    return FashionSearchNetV2(SPACE, variant="ours", **heads, **network(mean=(1.0, 2.0, 3.0)))


@pytest.mark.parametrize("name", list(registry.SYSTEMS))
def test_a_run_of_version_0_1_loads(name, tmp_path):
    system = build(name)
    registry.save_system(tmp_path, system, system.stages[-1], "fake/1.0.0")
    path = tmp_path / "model.json"
    content = json.loads(path.read_text())
    arguments = content["arguments"]
    image_input = arguments.pop("image_input")
    old = {"image_size": image_input["size"], "channel_means": image_input["mean"]}
    trunk = arguments.pop("trunk")
    old |= {name: trunk[name] for name in ("backbone", "width", "first_stride", "normalization")}
    content["arguments"] = {**old, **arguments}
    path.write_text(json.dumps(content))
    loaded = registry.load_complete_system(tmp_path)
    assert loaded.arguments == system.arguments
    images = tf.random.stateless_normal([2, 40, 40, 3], [0, 1], stddev=60.0)
    np.testing.assert_array_equal(loaded.encode_gallery(images), system.encode_gallery(images))
