"""A catalogue with a single attribute: what is computed from stored features."""

import numpy as np
import pytest
from fakes import FakeDataset
from small_networks import network

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.features import (
    edited_embedding,
    extract_features,
    gallery_embeddings,
)

SPACE = AttributeSpace.from_dict({"colour": ["red", "green", "blue"]})


@pytest.mark.parametrize("variant", ["rank_l", "rank_lg", "full", "ours"])
def test_queries_and_gallery_of_one_attribute(variant):
    dataset = FakeDataset(SPACE, sizes={"train": 4, "query": 3, "gallery": 5})
    system = FashionSearchNetV2(
        SPACE,
        variant=variant,
        hidden_dims=(10, 6),
        representation_dim=8,
        global_dim=7,
        **network(image_size=40),
    )
    queries = extract_features(system, dataset, "query")
    embed = edited_embedding(system.query_embedding, queries)
    edits = np.array([[0], [2], [-1]], np.int32)
    found = embed(np.arange(3), edits)
    assert np.isfinite(found).all()
    gallery = gallery_embeddings(system, extract_features(system, dataset, "gallery"), [0])
    assert (len(found), len(gallery)) == (3, 5) and found.shape[1] == gallery.shape[1]
