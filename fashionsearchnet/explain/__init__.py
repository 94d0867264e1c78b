"""Pictures that explain a search: where a network looks, and what it retrieves.

Drawing needs NumPy, OpenCV and matplotlib only. What asks a trained system for its attention or
its results is in the modules `attention` and `retrieval`, which need TensorFlow.
"""

from fashionsearchnet.explain.attention_sheet import (
    AttentionCell,
    AttentionRow,
    draw_attention_sheet,
)
from fashionsearchnet.explain.overlays import (
    MapGeometry,
    draw_box,
    enlarge,
    map_on_image,
    overlay_map,
    square_image,
)
from fashionsearchnet.explain.panels import Panel, attention_panel
from fashionsearchnet.explain.retrieval_sheet import RetrievalRow, draw_retrieval_sheet
from fashionsearchnet.explain.search_sheet import SearchSheet, draw_search_sheet

__all__ = [
    "AttentionCell",
    "AttentionRow",
    "MapGeometry",
    "Panel",
    "RetrievalRow",
    "SearchSheet",
    "attention_panel",
    "draw_attention_sheet",
    "draw_box",
    "draw_retrieval_sheet",
    "draw_search_sheet",
    "enlarge",
    "map_on_image",
    "overlay_map",
    "square_image",
]
