"""What runs where the trained system is used: it needs an export, never the training code."""
