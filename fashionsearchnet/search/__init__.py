"""Edit, search, judge: the same for tool, service and sheets.

`judgement` is all that the service needs, and it needs NumPy only. `live_gallery` searches a split
of a data set with a trained system; the service searches an index with an export.
"""
