"""Vectors that another model computed, as a data set: reading, checking, splitting, opening."""
