"""What a run's folder says of the stages behind it."""

import hashlib
from typing import Any

import pytest
from small_networks import network

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2

SPACE = AttributeSpace.from_dict({"colour": ["red", "green"], "size": ["small", "large"]})
NETWORK = network(32, first_stride=1)


def build(variant):
    if variant == "amnet":
        return AMNet(SPACE, feature_dim=8, **NETWORK)
    sizes: dict[str, Any] = {"hidden_dims": (4,), "representation_dim": 4, "global_dim": 8}
    return FashionSearchNetV2(SPACE, variant=variant, **sizes, **NETWORK)


@pytest.mark.parametrize(
    ("variant", "title", "stages"),
    [
        ("full", "Full", ("localization", "representations", "global")),
        ("rank_l", "Rank-L", ("localization", "representations")),
        ("amnet", "AMNet", ("classification", "manipulation")),
    ],
)
def test_only_the_last_stage_is_searched_with(variant, title, stages, tmp_path):
    model = build(variant)
    for stage in stages[:-1]:
        registry.save_system(tmp_path, model, stage, "fakes")
        assert registry.load_system(tmp_path).arguments == model.arguments
        message = f"has finished stage '{stage}' only, but {title} needs stage '{stages[-1]}'"
        with pytest.raises(ValueError, match=message):
            registry.load_complete_system(tmp_path)
    registry.save_system(tmp_path, model, stages[-1], "fakes")
    assert registry.load_complete_system(tmp_path).arguments == model.arguments


def test_weights_have_a_name_of_their_own(tmp_path):
    registry.save_system(tmp_path, build("rank_l"), "representations", "fakes")
    content = (tmp_path / "model.weights.h5").read_bytes()
    assert registry.weights_digest(tmp_path) == hashlib.sha256(content).hexdigest()
    with pytest.raises(FileNotFoundError, match=r"does not exist\. Train it first"):
        registry.weights_digest(tmp_path / "elsewhere")
