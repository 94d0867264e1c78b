"""AG-MAN and each of its three ideas on its own, added to ASENet_V2."""

import dataclasses

from fashionsearchnet.checks import check_choice

LOSS_WEIGHTINGS = {
    "equal": "both losses count the same, as in effect in the published code",
    "uncertainty": "weights that are learned, [Kendall18]",
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """What a variant has of [Xiao24]. With nothing of it, the network would be ASENet_V2.

    Attributes:
      title: its name in tables.
      multi_level: the embedding reads two levels of the trunk, and not its last map alone.
      classification: a branch learns which attribute an image is asked about.
      attention: the improved attention, and not that of ASENet_V2.
    """

    title: str
    multi_level: bool = False
    classification: bool = False
    attention: bool = False


VARIANTS = {
    "agman": Variant("AG-MAN", multi_level=True, classification=True, attention=True),
    # Which idea brings what: the abstract credits all three, and no table at hand separates them.
    "multi_level": Variant("ASENet_V2 + multi-level embedding", multi_level=True),
    "classification": Variant("ASENet_V2 + classification branch", classification=True),
    "attention": Variant("ASENet_V2 + attention of AG-MAN", attention=True),
}


def get_variant(name: str) -> Variant:
    """Returns the variant called `name`, or raises a ValueError that lists all."""
    return VARIANTS[check_choice("variant", name, VARIANTS)]
