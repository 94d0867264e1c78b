"""The data set FashionAI, from its published files."""
