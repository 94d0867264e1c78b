"""FLAM: attribute edits on features that exist, by a GAN on vectors; and its two baselines."""

from fashionsearchnet.systems.flam.editor import VectorEditor
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.flam.variants import VARIANTS, get_variant

__all__ = ["FLAM", "VARIANTS", "VectorEditor", "get_variant"]
