"""DeepFashion's benchmark of categories and attributes, in ASEN's lists."""
