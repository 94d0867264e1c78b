"""Several images of one product in the gallery count once."""

import numpy as np
import pytest
from evaluation_fakes import FakeDataset, FakeSystem

from fashionsearchnet.evaluation import AttributeProtocol, ManipulationProtocol, evaluate


class Doubled(FakeDataset):
    """Every gallery image is there twice: two images of one product."""

    counts_products = True

    def __init__(self):
        super().__init__()
        self._labels["gallery"] = np.repeat(self._labels["gallery"], 2, axis=0)

    def instance_ids(self, split):
        return [
            f"{split}{i // 2 if split == 'gallery' else i}" for i in range(self.num_examples(split))
        ]


@pytest.mark.parametrize(
    "protocol",
    [
        ManipulationProtocol(top_k=(1, 3, 20), headline_k=3, num_resamples=20),
        AttributeProtocol(num_resamples=20),
    ],
)
def test_a_product_counts_once(protocol):
    doubled = evaluate(FakeSystem(), Doubled(), protocol)
    single = evaluate(FakeSystem(), FakeDataset(), protocol)
    for row, expected in zip(doubled.rows, single.rows, strict=True):
        assert row.name == expected.name
        for name, values in expected.figures.items():
            np.testing.assert_array_equal(row.figures[name], values)
    assert "a product counts once" in doubled.plan.relation_words()
    assert "product" not in single.plan.relation_words()
