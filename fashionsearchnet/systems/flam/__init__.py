"""FLAM: attribute edits on features that exist, by a GAN on vectors; and its two baselines."""
