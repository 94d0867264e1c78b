"""The networks that one folder holds: those of [Ma20] and its baselines."""

import dataclasses

from fashionsearchnet.checks import check_choice


@dataclasses.dataclass(frozen=True)
class Variant:
    """One network.

    Attributes:
      title: its name in tables.
      head: which head stands on the trunk; a kind of `heads.build_head`.
      has_attention: whether it says where it looks.
      describes_each_attribute: whether each attribute has a vector of its own.
    """

    title: str
    head: str
    has_attention: bool = True
    describes_each_attribute: bool = True


VARIANTS = {
    "triplet_net": Variant(
        "Triplet net", "pooled", has_attention=False, describes_each_attribute=False
    ),
    "csn": Variant("CSN", "masked", has_attention=False),
    "asenet_v1": Variant("ASENet V1", "one_hot"),
    "asenet_v2": Variant("ASENet_V2", "table"),
}


def get_variant(name: str) -> Variant:
    """Returns the variant called `name`, or raises a ValueError that lists all."""
    return VARIANTS[check_choice("variant", name, VARIANTS)]
