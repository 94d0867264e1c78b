"""How an evaluation measures."""

import dataclasses

from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.evaluation import protocol

_DEFAULT_DRAW = 500  # manipulations of each set of attributes, where several change at once


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
      query_split: split of the query images; TFDS slicing such as `validation[:30%]` works.
      gallery_split: split of the gallery images, without the queries.
      queries_in_gallery: every query is a gallery image too, as in ADDE's splits; it is then left
        out of its own ranking.
      hit_rule: one of `protocol.HIT_RULES`.
      add_missing: also give values to attributes that a query lacks.
      num_changes: how many attributes change at once; the paper's figures are for 1.
      max_manipulations_per_attribute: draw so many of each attribute, or of each set of attributes
        that change together; None for all, which may be millions for more than one change.
      top_k: the Ks to report.
      headline_k: the K of the main table; one of `top_k`.
      num_resamples: of the bootstrap over query images.
      seed: of the draw and the bootstrap.
    """

    query_split: str = "query"
    gallery_split: str = "gallery"
    queries_in_gallery: bool = False
    hit_rule: str = "identical"
    add_missing: bool = False
    num_changes: int = 1
    max_manipulations_per_attribute: int | None = None
    top_k: tuple[int, ...] = (1, 5, 10, 20, 30, 40, 50)
    headline_k: int = 20
    num_resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("hit_rule", self.hit_rule, protocol.HIT_RULES)
        for k in self.top_k:
            check_range("top_k", k, 1)
        check_choice("headline_k", self.headline_k, self.top_k)
        check_range("num_changes", self.num_changes, 1)
        check_range("num_resamples", self.num_resamples, 1)


def default_draw(num_changes: int) -> int | None:
    """Returns how many manipulations of each set are drawn if nobody says it; None for all."""
    return _DEFAULT_DRAW if num_changes > 1 else None
