"""Vectors that know nothing of the attributes: those of a pretrained trunk, nothing trained.

A shop that trains nothing searches by them, and filters by facets.
"""

import numpy as np

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks.backbones import (
    Trunk,
    build_backbone,
    load_pretrained,
    pooled_features,
    pretrained_input,
)
from fashionsearchnet.systems.features import feature_batches


def generic_vectors(
    dataset: Dataset, splits: tuple[str, str], backbone: str, image_size: int, batch_size: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Returns generic vectors of queries and gallery, float32 `[N, dim]` of length one.

    The pooled maps of the trunk with ImageNet weights; each number is standardised by the mean and
    the deviation of the gallery, which needs no label.

    Args:
      dataset: that has the images.
      splits: of the queries and of the gallery.
      backbone: see `choices.BACKBONES`.
      image_size: side of the network's input in pixels.
      batch_size: images per forward pass.
    """
    trunk = Trunk(backbone=backbone, pretrained="imagenet", training="frozen")
    built = build_backbone(trunk, image_size)
    load_pretrained(built, trunk.pretrained)
    model, image_input = pooled_features(built), pretrained_input(trunk, image_size)

    def pooled(split: str) -> np.ndarray:
        batches = feature_batches(
            lambda images: {"means": model(images, training=False)},
            image_input,
            dataset,
            split,
            batch_size,
        )
        return np.concatenate([batch["means"] for batch in batches])

    queries, gallery = map(pooled, splits)
    mean, deviation = gallery.mean(axis=0), gallery.std(axis=0) + 1e-6
    return _unit((queries - mean) / deviation), _unit((gallery - mean) / deviation)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)
