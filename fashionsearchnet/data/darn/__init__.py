"""The data set DARN, from its published files."""
