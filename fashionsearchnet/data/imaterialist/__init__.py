"""The data set iMaterialist (Fashion 2018), from its published files."""
