"""The rows of Table 1 of [Ak21] as settings, and ours: what each variant switches on."""

import dataclasses

from fashionsearchnet.checks import check_choice

MAX_MAP_THRESHOLD = 0.999  # no cell is above the whole of its map's maximum
TRIPLET_MEANS = {
    "batch": "the sum of all losses over the images of the batch",
    "valid": "the mean over the triplets that exist, times the number of attributes",
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the ablation.

    Attributes:
      title: the row's name, for the paper's rows as printed there.
      ranking: train the representations with triplets of regions (Eq. 6).
      localization: pool each attribute's region instead of the whole map.
      fusion: pool both and concatenate (feature fusion).
      global_ranking: merge the representations into a global one (Eq. 7-8).
      updatable_memory: train the attribute memory in the global stage.
      edit_weights: one set of lambda per manipulated attribute.
      normalized: rank representations of equal length.
      normalized_triplets: compare representations of equal length in the triplets of regions too.
      blockwise: each attribute has its own projection (`edit_ranking.EditRanking`).
      pooled: the heads read the means of several of the trunk's maps. Nothing is localised.
      agreement: by one attribute, rank by the probability of the same value (`agreement.py`) in
        place of the local representations.
    """

    title: str
    ranking: bool = True
    localization: bool = True
    fusion: bool = False
    global_ranking: bool = True
    updatable_memory: bool = False
    edit_weights: bool = False
    normalized: bool = False
    normalized_triplets: bool = False
    blockwise: bool = False
    pooled: bool = False
    agreement: bool = False

    @property
    def pooling(self) -> tuple[bool, ...]:
        """Which maps feed the heads: False for the whole map, True for the region."""
        return (True, False) if self.fusion else (self.localization,)

    def shares_representations(self, other: "Variant") -> bool:
        """Returns whether the second stage trains the same in both."""
        keys = ("ranking", "pooling", "normalized_triplets", "pooled")
        return all(getattr(self, key) == getattr(other, key) for key in keys)


VARIANTS = {
    "without_rank": Variant("w/o Rank", ranking=False, localization=False, global_ranking=False),
    "rank": Variant("Rank", localization=False, global_ranking=False),
    "rank_l": Variant("Rank-L", global_ranking=False),
    "rank_lg": Variant("Rank-LG"),
    "full": Variant("Full", updatable_memory=True),
    "full_ff": Variant("Full w/ FF", fusion=True, updatable_memory=True),
    # Beyond the paper: what each change of ours does on its own, and all together.
    "full_edit_weights": Variant("Full, lambda per edit", updatable_memory=True, edit_weights=True),
    "full_normalized": Variant("Full, normalised", updatable_memory=True, normalized=True),
    "full_normalized_triplets": Variant(
        "Full, normalised triplets",
        updatable_memory=True,
        normalized=True,
        normalized_triplets=True,
    ),
    # Its memory stays as the class means: training it changed nothing (docs/results.md).
    "ours": Variant("Ours", edit_weights=True, normalized=True, blockwise=True, agreement=True),
    # On the pooled features of a pretrained trunk.
    "full_pooled": Variant(
        "Full, pooled features", localization=False, updatable_memory=True, pooled=True
    ),
    "ours_pooled": Variant(
        "Ours, pooled features",
        localization=False,
        edit_weights=True,
        normalized=True,
        blockwise=True,
        pooled=True,
        agreement=True,
    ),
}


PAPER_VARIANTS = ("without_rank", "rank", "rank_l", "rank_lg", "full", "full_ff")


def get_variant(name: str) -> Variant:
    """Returns the variant called `name`, or raises a ValueError that lists all."""
    return VARIANTS[check_choice("variant", name, VARIANTS)]


def representations_of(name: str) -> str:
    """Returns the variant whose second stage a variant needs: the first that trains the same."""
    wanted = get_variant(name)
    return next(key for key, other in VARIANTS.items() if wanted.shares_representations(other))


def check_shares_representations(wanted: str, trained: str, where: str) -> None:
    """Raises a ValueError if `trained` has other local representations than `wanted` needs."""
    if get_variant(wanted).shares_representations(get_variant(trained)):
        return
    raise ValueError(
        f"{where} holds the representations of variant {trained!r}, which {wanted!r} cannot use; "
        f"start from a run of {representations_of(wanted)}."
    )
