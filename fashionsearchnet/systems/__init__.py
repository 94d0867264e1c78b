"""Published systems and ours: what they share, and a folder for each.

`registry` lists them and loads a trained one; `recipes` lists the tables of their papers.
"""
