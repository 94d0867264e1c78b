"""Figure 3 of [Shin19]: where embeddings lie before and after an edit, by t-SNE."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from fashionsearchnet import files

_PALETTE, _NUM_COLOURS = "tab20", 20
_BEFORE, _AFTER, _WANTED = 5, 9, 26  # sizes of the marks


@dataclasses.dataclass(frozen=True)
class Panel:
    """The embeddings of one attribute.

    Attributes:
      title: of the panel.
      before: float32 `[N, dim]`, of images as they are.
      after: float32 `[M, dim]`, of edited images.
      values: int `[N]`, what the images show of the attribute, -1 for missing.
      names: of the values.
      wanted: the value that the edit asks for; None where it keeps the attribute.
    """

    title: str
    before: np.ndarray
    after: np.ndarray
    values: np.ndarray
    names: Sequence[str]
    wanted: int | None = None


def draw(path: str | os.PathLike[str], panels: Sequence[Panel], title: str, seed: int = 0) -> None:
    """Writes the panels beside each other as PNG.

    Colours are the values that the images show; more than 20 share some. Black crosses are edited
    images. Rings are images that show the wanted value as they are.

    Args:
      path: of the file.
      panels: one per attribute.
      title: of the picture.
      seed: of t-SNE.

    Raises:
      ValueError: if scikit-learn is missing.
      OSError: if the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 4.6), squeeze=False, layout="constrained"
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        _draw_panel(axis, panel, seed)
    figure.suptitle(title, fontsize=11)
    with files.replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    pyplot.close(figure)


def _draw_panel(axis, panel: Panel, seed: int) -> None:
    """Draws one panel on matplotlib's axes."""
    number = len(panel.before)
    places = flatten(np.concatenate([panel.before, panel.after]), seed)
    before, after = places[:number], places[number:]
    known = panel.values >= 0
    axis.scatter(*before[~known].T, _BEFORE, "0.8", linewidths=0)
    axis.scatter(
        *before[known].T,
        _BEFORE,
        panel.values[known] % _NUM_COLOURS,  # neighbours in a list have different colours
        cmap=_PALETTE,
        vmin=0,
        vmax=_NUM_COLOURS - 1,
        linewidths=0,
    )
    axis.scatter(*after.T, _AFTER, "black", marker="x", linewidths=0.5, label="edited")
    if panel.wanted is not None:
        shows = before[panel.values == panel.wanted]
        label = f"{panel.names[panel.wanted]} as they are"
        axis.scatter(
            *shows.T, _WANTED, marker="o", facecolors="none", edgecolors="red", label=label
        )
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, fontsize=9, frameon=False)
    axis.set_title(f"{panel.title} ({len(panel.names)} values)", fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])


def flatten(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns places in the plane by t-SNE with cosine distances, float32 `[num, 2]`.

    Args:
      vectors: float32 `[num, dim]`, at least three.
      seed: of everything random.

    Raises:
      ValueError: if scikit-learn is missing, or there are fewer than three vectors.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ValueError(
            "t-SNE needs scikit-learn, which is not installed; run pip install "
            "'fashionsearchnet[tsne]'."
        ) from error
    if len(vectors) < 3:
        raise ValueError(f"t-SNE needs at least three vectors; got {len(vectors)}.")
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne = TSNE(2, metric="cosine", init="pca", perplexity=perplexity, random_state=seed)
    return tsne.fit_transform(vectors).astype(np.float32)
