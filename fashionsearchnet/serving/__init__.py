"""The service and the clients of a trained system: they need an export, no training code."""
