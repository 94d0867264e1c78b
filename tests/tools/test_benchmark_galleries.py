import numpy as np
from absl import flags
from evaluation_fakes import script
from fakes import SPACE, FakeDataset
from small_networks import network

from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2


def test_stored_representations_and_an_index_per_attribute_find_the_same():
    system = FashionSearchNetV2(
        SPACE,
        variant="full_edit_weights",
        hidden_dims=(16,),
        representation_dim=8,
        global_dim=6,
        **network(width=0.1),
    )
    weights = system.global_representation.attribute_weights
    weights.assign(np.random.default_rng(0).uniform(0.2, 2.0, weights.shape))
    with script("benchmark_galleries") as tool:
        flags.FLAGS(["x", "--workdir=x", "--query_split=query", "--rounds=1", "--k=5"])
        galleries = tool.Galleries(system, FakeDataset())
        stored, indexed = galleries.stored(), galleries.indexed()
        edits = tool.random_edits(SPACE.num_values, len(galleries.queries["embedding"]))
        milliseconds, (first, second) = tool.measure([stored, indexed], edits)
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first)) > 5
    assert stored.numbers == 8 * SPACE.num_attributes
    assert indexed.numbers == 6 * SPACE.num_attributes
    assert min(milliseconds) > 0
