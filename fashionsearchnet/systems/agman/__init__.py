"""AG-MAN [Xiao24]; README.md in this folder says what deviates."""

from fashionsearchnet.systems.agman.model import AGMAN, LOSS_WEIGHTINGS
from fashionsearchnet.systems.agman.variants import VARIANTS, get_variant

__all__ = ["AGMAN", "LOSS_WEIGHTINGS", "VARIANTS", "get_variant"]
