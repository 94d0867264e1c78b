"""A deliberately small sixth system: the test of the house.

All that it needs outside this folder are its entries in `systems.registry.SYSTEMS` and in
`systems.recipes.RECIPES`, and a flagfile. `tests/test_sixth_system.py` takes it through training,
evaluation and its recipe.
"""
