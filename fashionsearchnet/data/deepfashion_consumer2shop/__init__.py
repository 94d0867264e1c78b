"""DeepFashion's Consumer-to-shop benchmark, read from its authors' files."""
