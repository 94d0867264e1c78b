"""DeepFashion's In-shop benchmark, read from its authors' files."""
