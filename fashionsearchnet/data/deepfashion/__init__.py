"""DeepFashion's benchmarks of items: In-shop and Consumer-to-shop."""
