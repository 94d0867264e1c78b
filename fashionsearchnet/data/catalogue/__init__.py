"""Anybody's CSV and image folder: reading, selecting, reporting, and the TFDS builder."""
