"""A trained system as a SavedModel for TensorFlow Serving, from encoded images on."""
