"""Triplet accuracy on triplets that a data set lists: the measure of CSN on Zappos50k."""

from typing import Any

import numpy as np

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation.scores import Grouping, summarize
from fashionsearchnet.systems.features import (
    attribute_embeddings,
    attribute_queries,
    extract_features,
)
from fashionsearchnet.systems.system import System


def listed_triplet_accuracy(
    system: System,
    dataset: Dataset,
    split: str,
    num_resamples: int = 1000,
    seed: int = 0,
    batch_size: int = 64,
) -> dict[str, Any]:
    """Returns the share of listed triplets whose positive is nearer to the anchor, per attribute.

    Two at equal distance count as half. Intervals are by bootstrap over the anchors.

    Args:
      system: answers the task "attribute".
      dataset: with the system's attributes; lists triplets.
      split: a whole split with triplets.
      num_resamples: of the bootstrap.
      seed: of the bootstrap.
      batch_size: images per forward pass.

    Returns:
      What `scores.summarize` does, with a group for each attribute, and `numbers`, the triplets of
      each.

    Raises:
      ValueError: if the system does not answer the task or has other attributes, or the data set
        lists no triplets.
    """
    system.check_answers("attribute")
    system.space.check_same(dataset.space, "the system", f"data set {dataset.name}")
    listed = dataset.listed_triplets(split)
    if listed is None:
        raise ValueError(
            f"{dataset.name} lists no triplets, but values of attributes: use tools/evaluate.py "
            "--task=attribute."
        )
    features = extract_features(system, dataset, split, batch_size)
    correct = np.empty(len(listed.anchor))
    for attribute in np.unique(listed.attribute):
        rows = np.flatnonzero(listed.attribute == attribute)
        queries = attribute_queries(system, features, int(attribute))[listed.anchor[rows]]
        gallery = attribute_embeddings(system, features, int(attribute))
        near, far = (
            np.square(queries - gallery[images[rows]]).sum(axis=1)
            for images in (listed.positive, listed.negative)
        )
        correct[rows] = (near < far) + 0.5 * (near == far)
    names = dataset.space.names
    grouping = Grouping(listed.attribute, len(names), listed.anchor, num_resamples, seed)
    numbers = np.bincount(listed.attribute, minlength=len(names))
    return summarize(correct, grouping) | {"numbers": numbers.tolist()}
