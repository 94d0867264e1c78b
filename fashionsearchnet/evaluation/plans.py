"""What is to be measured: known, and compared with what others measured, before the long work."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fashionsearchnet.evaluation import protocol, scores
from fashionsearchnet.evaluation.images import Images
from fashionsearchnet.evaluation.settings import Settings


def plan(
    dataset: Any,
    images: Images,
    settings: Settings,
    beside: Sequence[tuple[str, scores.Outcomes]],
    name: str,
) -> tuple[protocol.Manipulations, scores.Outcomes, list[scores.MeasuredRow]]:
    """Returns what is to be measured, its outcomes without a row yet, and the rows of others."""
    manipulations = _manipulations(images.query_labels, images.gallery, settings)
    outcomes = scores.Outcomes(
        protocol=_protocol_text(dataset, settings, images.digest),
        query=manipulations.query,
        group=manipulations.group,
        edits=manipulations.edits,
        group_names=manipulations.group_names(dataset.space.names),
        top_k=settings.top_k,
        rows=(),
    )
    return manipulations, outcomes, _rows_beside(outcomes, beside, name)


def _manipulations(
    query_labels: np.ndarray, gallery: protocol.Gallery, settings: Settings
) -> protocol.Manipulations:
    """Returns what is to be measured."""
    return protocol.enumerate_manipulations(
        query_labels,
        gallery,
        settings.hit_rule,
        settings.add_missing,
        settings.max_manipulations_per_attribute,
        settings.seed,
        settings.num_changes,
    )


def _rows_beside(
    outcomes: scores.Outcomes, beside: Sequence[tuple[str, scores.Outcomes]], name: str
) -> list[scores.MeasuredRow]:
    """Returns the system's row of each stored outcome, under a name not yet taken.

    Args:
      outcomes: what is to be measured.
      beside: the stored outcomes, each with where it is from.
      name: of the row of the system that is to be measured.
    """
    rows: list[scores.MeasuredRow] = []
    names = {*scores.BASELINES, name}
    for source, other in beside:
        outcomes.check_comparable(other, "this evaluation", source)
        lacking = sorted({*outcomes.top_k} - {*other.top_k})
        if lacking:
            raise ValueError(
                f"{source} has no NDCG for top_k {_listed(lacking)}; it was measured with top_k "
                f"{_listed(other.top_k)}. Choose among these, or evaluate that run again."
            )
        row = other.row()
        new_name = f"{row.name} ({source})" if row.name in names else row.name
        names.add(new_name)
        columns = [other.top_k.index(k) for k in outcomes.top_k]
        rows.append(scores.MeasuredRow(new_name, row.ranks, row.ndcg[:, columns]))
    return rows


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _protocol_text(dataset: Any, settings: Settings, digest: str) -> str:
    """Returns a text that is equal only if data, labels, splits and rules are.

    The Ks are not in it: ranks serve any K.
    """
    most = settings.max_manipulations_per_attribute or "all"
    return (
        f"data set {dataset.name} (attributes {dataset.space.fingerprint}, "
        f"images and labels {digest}), "
        f"query split {settings.query_split}, gallery split {settings.gallery_split}, "
        f"queries in gallery {settings.queries_in_gallery}, hit rule {settings.hit_rule}, "
        f"add missing {settings.add_missing}, attributes changed at once {settings.num_changes}, "
        f"manipulations of each set of attributes {most}, seed {settings.seed}"
    )
