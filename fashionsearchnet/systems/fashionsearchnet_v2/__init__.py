"""FashionSearchNet-v2 [Ak21]; see README.md in this folder for the paper and the deviations."""

from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.variants import VARIANTS, get_variant

__all__ = ["VARIANTS", "FashionSearchNetV2", "get_variant"]
