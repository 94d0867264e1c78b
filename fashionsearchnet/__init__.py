"""Image retrieval with attribute manipulation: "this shirt, but with a v-neck"."""

__version__ = "0.1.0"
