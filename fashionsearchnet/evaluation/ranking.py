"""Ranks of the gallery for every manipulation, by a method or by chance."""

import numpy as np
from tqdm import tqdm

from fashionsearchnet.evaluation import metrics, protocol, scores
from fashionsearchnet.evaluation.methods import Method
from fashionsearchnet.evaluation.settings import Settings
from fashionsearchnet.index.arrays import differs_from_previous
from fashionsearchnet.index.exact import nearest


def rank_method(
    method: Method,
    manipulations: protocol.Manipulations,
    gallery: protocol.Gallery,
    settings: Settings,
    own: np.ndarray | None = None,
) -> scores.MeasuredRow:
    """Returns the rank of the first hit and the NDCG of every manipulation.

    Args:
      method: what is measured.
      manipulations: M of them.
      gallery: the labels of what is ranked.
      settings: how to measure.
      own: int `[M]`, the gallery position of each manipulation's query image, which is left out of
        its ranking; None if no query is in the gallery.
    """
    number, longest = len(manipulations), min(max(settings.top_k), _num_ranked(gallery, own))
    ranks = np.empty(number, np.int32)
    ndcg = np.empty((number, len(settings.top_k)), np.float32)
    with tqdm(total=number, desc=f"ranks of {method.name}", unit="edit", unit_scale=True) as bar:
        for group in np.unique(manipulations.group):
            index = method.index(manipulations.groups[group])
            members = np.flatnonzero(manipulations.group == group)
            for chunk in index.chunks(len(members)):
                rows = members[chunk]
                targets = manipulations.targets[rows]
                embeddings = method.embed(manipulations.query[rows], manipulations.edits[rows])
                distinct, place = _without_repetition(embeddings)
                distances = index.squared_distances(distinct)[place]
                if own is not None:  # behind all others; no hit, since its labels were edited
                    distances[np.arange(len(rows)), own[rows]] = np.inf
                hits = gallery.relevant(targets, settings.hit_rule)
                ranks[rows] = metrics.first_hit_ranks(distances, hits)
                found = gallery.labels[nearest(distances, longest)]  # [B, longest, A]
                share = protocol.relevance(targets[:, None], found, settings.hit_rule)
                ndcg[rows] = metrics.ndcg(share, settings.top_k)
                bar.update(len(rows))
    return scores.MeasuredRow(method.name, ranks, ndcg)


def _without_repetition(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each run of equal rows once, and for every row which one it is.

    The unedited query is the same for all edits of an image, which come one after the other.
    """
    is_new = differs_from_previous(rows)
    return rows[is_new], np.cumsum(is_new) - 1


def _num_ranked(gallery: protocol.Gallery, own: np.ndarray | None) -> int:
    """Returns how many gallery images each ranking holds."""
    return len(gallery) if own is None else len(gallery) - 1


def chance_row(
    manipulations: protocol.Manipulations,
    gallery: protocol.Gallery,
    settings: Settings,
    own: np.ndarray | None = None,
) -> scores.ChanceRow:
    """Returns the row of a random order of the gallery, by formula; `own` as in `rank_method`."""
    targets, num_ranked = manipulations.targets, _num_ranked(gallery, own)
    gain = gallery.mean_gain(targets, settings.hit_rule)
    if own is not None:
        share = protocol.relevance(targets, gallery.labels[own], settings.hit_rule)
        gain = (gain * len(gallery) - (2.0**share - 1.0)) / num_ranked
    return scores.ChanceRow(
        num_relevant=gallery.num_relevant(targets, settings.hit_rule),
        num_items=num_ranked,
        ndcg=np.repeat(gain[:, None], len(settings.top_k), axis=1),
    )
