"""FashionSearchNet-v2 [Ak21]; see README.md in this folder for the paper and the deviations."""
