"""Zappos50k with the triplet lists of CSN; see `reader`."""
