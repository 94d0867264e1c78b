"""Rendered clothes: scenes, their drawing, and the TFDS builder."""
