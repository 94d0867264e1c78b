"""The data set Shopping100k, from its published files."""
