"""ASENet V1 and V2, CSN and the triplet net [Ma20]; README.md says what deviates."""

from fashionsearchnet.systems.asenet.model import ASENet
from fashionsearchnet.systems.asenet.variants import VARIANTS, get_variant

__all__ = ["VARIANTS", "ASENet", "get_variant"]
