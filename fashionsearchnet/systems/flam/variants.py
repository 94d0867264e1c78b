"""The rows of Table 3 of [Shin19] and ours as settings: what each variant switches on."""

import dataclasses

from fashionsearchnet.checks import check_choice

POOLINGS = {
    "spoc": "the sum of the last map (SPoC), as in the paper",
    "levels": "the means of several maps, standardised: colour lives in low maps",
}
PROJECTIONS = {
    "learned": "the first stage trains it to tell items apart",
    "pca": "the main directions of the training images' pooled maps; no stage trains it",
}
SEVERAL_EDITS = {
    "in_turn": "the generator is applied again for each attribute, to what it made before",
    "at_once": "one application that has all wanted values",
}

READERS = {
    "embedders": "an embedding per attribute, with a dictionary vector per value (Eq. 1-2)",
    "classifiers": "a classifier per attribute; its hidden layer is the representation",
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row.

    Attributes:
      title: the row's name, for the paper's rows as printed there.
      reader: what reads the attributes off a feature; a key of READERS.
      width: of what it reads of one attribute; 32 for FLAM, 341 for the baselines.
      manipulates: whether a generator edits the feature. A baseline has none: its vector is what
        it reads of all attributes, joined, and an edit replaces a block.
      matches_remaining: match the attributes that an edit keeps too (M, else S).
      online_sampling: condition on images that resemble the query in what the edit keeps (OS).
      adversarial: train with the adversarial loss (Adv).
      ranked: train by ranking edited features against those of images that show the target
        (`ranking_stage`), in place of matching and the adversarial loss. Not in the paper.
    """

    title: str
    reader: str = "embedders"
    width: int = 32
    manipulates: bool = True
    matches_remaining: bool = True
    online_sampling: bool = True
    adversarial: bool = True
    ranked: bool = False

    def shares_reader(self, other: "Variant") -> bool:
        """Returns whether both variants read the attributes in the same way."""
        return (self.reader, self.width) == (other.reader, other.width)


VARIANTS = {
    "cls_concat": Variant("Cls-Concat", reader="classifiers", width=341, manipulates=False),
    "emb_concat": Variant("Emb-Concat", width=341, manipulates=False),
    "s_adv": Variant("FLAM(S/-Adv)", matches_remaining=False, online_sampling=False),
    "m": Variant("FLAM(M/-)", online_sampling=False, adversarial=False),
    "m_adv": Variant("FLAM(M/-Adv)", online_sampling=False),
    "m_os_adv": Variant("FLAM(M/OS/Adv)"),
    # Beyond the paper.
    "ranked": Variant(
        "FLAM, ranked",
        matches_remaining=False,
        online_sampling=False,
        adversarial=False,
        ranked=True,
    ),
}


def get_variant(name: str) -> Variant:
    """Returns the variant called `name`, or raises a ValueError that lists all."""
    return VARIANTS[check_choice("variant", name, VARIANTS)]
