"""The data set CelebA, from its published files."""
