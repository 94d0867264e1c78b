"""A client of TensorFlow Serving with the methods of an exported model: `client.ServedModel`."""
