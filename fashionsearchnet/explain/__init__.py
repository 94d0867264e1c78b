"""Pictures that explain a search: where a network looks, and what it retrieves.

`layout`, `panels`, `overlays` and the sheets need NumPy, OpenCV and matplotlib only. `attention`
and `results` ask a trained system, and need TensorFlow.
"""
