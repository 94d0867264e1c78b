"""An evaluation as what JSON can hold: every figure of its report."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fashionsearchnet.evaluation import Evaluation, protocol, published, scores

NDCG_RULE = (
    "NDCG@K: relevance is the share of attributes that match the target, gain 2^relevance - 1, "
    "discount log2(rank + 1), the ideal is K images that match in all (the definition of ADDE)."
)


def summarize(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the whole report as what JSON can hold."""
    settings, manipulations = evaluation.settings, evaluation.manipulations
    grouping = evaluation.outcomes.grouping(settings.num_resamples, settings.seed)
    names = evaluation.outcomes.group_names
    curve_k = list(range(1, max(settings.top_k) + 1))
    tried = np.bincount(manipulations.group, minlength=len(names)).tolist()
    return {
        "dataset": evaluation.dataset,
        "system": evaluation.system,
        "versions": evaluation.versions,
        "attributes": list(evaluation.space.names),
        "groups": list(names),
        "protocol": {
            "query_split": settings.query_split,
            "gallery_split": settings.gallery_split,
            "queries_in_gallery": settings.queries_in_gallery,
            "num_queries": evaluation.num_queries,
            "num_gallery": evaluation.num_gallery,
            "hit_rule": settings.hit_rule,
            "hit_rule_in_words": protocol.HIT_RULES[settings.hit_rule],
            "distance": "Euclidean",
            "add_missing": settings.add_missing,
            "num_changes": settings.num_changes,
            "max_manipulations_per_attribute": settings.max_manipulations_per_attribute,
            "seed": settings.seed,
            "num_resamples": settings.num_resamples,
            "ndcg": NDCG_RULE,
        },
        "manipulations": {
            "number": len(manipulations),
            "adding_a_missing_value": manipulations.num_added,
            "per_group": dict(zip(names, tried, strict=True)),
            "available_per_group": dict(zip(names, manipulations.num_available, strict=True)),
        },
        "top_k": list(settings.top_k),
        "headline_k": settings.headline_k,
        "rows": [_row(row, settings.top_k, curve_k, grouping) for row in evaluation.rows],
        "differences": _differences(evaluation, grouping),
        "published": _published(evaluation),
        "localization": evaluation.localization,
    }


def _row(
    row: scores.Row, top_k: Sequence[int], curve_k: Sequence[int], grouping: scores.Grouping
) -> dict[str, Any]:
    """Returns all figures of one row."""
    ndcg = zip(top_k, row.ndcg.T, strict=True)
    return {
        "name": row.name,
        "top_k": {str(k): scores.summarize(row.success(k), grouping) for k in top_k},
        "ndcg": {str(k): scores.summarize(values, grouping) for k, values in ndcg},
        "curve": scores.curve(row, grouping, curve_k),
    }


def _differences(evaluation: Evaluation, grouping: scores.Grouping) -> list[dict[str, Any]]:
    """Returns the paired differences of the system, the last row, from all others."""
    k, own = evaluation.settings.headline_k, evaluation.rows[-1]
    return [
        {
            "row": own.name,
            "other": other.name,
            "k": k,
            **scores.top_k_difference(own, other, k, grouping),
        }
        for other in evaluation.rows[:-1]
    ]


def _published(evaluation: Evaluation) -> dict[str, Any] | None:
    """Returns the paper's rows on this data set in the order of our attributes, if there are."""
    table, settings = published.table_for(evaluation.dataset), evaluation.settings
    if table is None or table.k != settings.headline_k or settings.num_changes != 1:
        return None
    rows = [
        {"name": name, "per_group": table.aligned(name, evaluation.space.names), "mean": mean}
        for name, (_, mean) in table.rows.items()
    ]
    return {"source": table.source, "protocol": table.protocol, "k": table.k, "rows": rows}
