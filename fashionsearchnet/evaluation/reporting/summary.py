"""An evaluation as JSON can hold it: every figure of its report."""

import dataclasses
from typing import Any

from fashionsearchnet.evaluation import published, scores
from fashionsearchnet.evaluation.measure import Evaluation
from fashionsearchnet.evaluation.scores import Figure
from fashionsearchnet.evaluation.tasks.task import TaskProtocol

MEANS = {"mean": "plain mean", "queries": "query-weighted mean"}  # keys of `scores.summarize`
_MAX_COLUMNS = 12  # sets of attributes beside each other in a table
_ELSEWHERE = ("top_k", "headline_k")  # of the protocol: beside it in a report


def summarize(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the whole report as JSON can hold it."""
    plan, how = evaluation.plan, evaluation.plan.protocol
    grouping = evaluation.outcomes.grouping(how.num_resamples, how.seed)
    own, figure, words = evaluation.rows[-1], how.headline, dataclasses.asdict(plan.words())
    return {
        "task": how.task,
        "dataset": plan.dataset,
        "system": evaluation.system,
        "versions": evaluation.versions,
        "attributes": list(plan.space.names),
        "groups": list(plan.group_names),
        "protocol": {
            **{k: v for k, v in dataclasses.asdict(how).items() if k not in _ELSEWHERE},
            "queries_in_gallery": plan.splits.own is not None,
            "num_queries": len(plan.splits.query_labels),
            "num_gallery": len(plan.splits.gallery_labels),
            "distance": "Euclidean",
            "is_published": how.is_published,
        },
        "words": {k: list(v) if isinstance(v, tuple) else v for k, v in words.items()},
        _counts_key(how.task): plan.counts(),
        "metrics": list(how.metrics),
        "top_k": list(how.top_k),
        "headline": dataclasses.asdict(figure),
        "curve_metric": how.curve_metric,
        "curve_k": _curve_k(how),
        "rows": [_row(row, how, grouping) for row in evaluation.rows],
        "differences": [
            {
                "row": own.name,
                "other": other.name,
                "k": figure.k,
                **scores.difference(own, other, figure, grouping),
            }
            for other in evaluation.rows[:-1]
        ],
        "published": _published(evaluation),
        "localization": evaluation.localization,
    }


def task_of(report: dict[str, Any]) -> str:
    """Returns the task of a report; those from before there were several do not say it."""
    return str(report.get("task", "manipulation"))


def headline(report: dict[str, Any]) -> Figure:
    """Returns the figure of the main table of a report."""
    return Figure(**report.get("headline", {"metric": "top_k", "k": report.get("headline_k")}))


def counts(report: dict[str, Any]) -> dict[str, Any]:
    """Returns the `Plan.counts` of a report."""
    return dict(report[_counts_key(task_of(report))])


def columns(report: dict[str, Any]) -> list[str]:
    """Returns the groups that have a column of their own in the tables: all of them or none.

    Attributes always have, as in the papers; sets of attributes where they are not too many; a
    single group never, since its mean says the same.
    """
    groups = list(report["groups"])
    is_attributes = groups[: len(report["attributes"])] == report["attributes"]
    if len(groups) == 1 and not is_attributes:
        return []
    return groups if is_attributes or len(groups) <= _MAX_COLUMNS else []


def mean_names(report: dict[str, Any]) -> dict[str, str]:
    """Returns the means to show, in words by key: both, or one where they are the same."""
    return MEANS if len(report["groups"]) > 1 else {"queries": "mean"}


def figures_of(row: dict[str, Any], figure: Figure) -> dict[str, Any]:
    """Returns the means of a figure in a row of a report; see `scores.summarize`."""
    found = row[figure.metric]
    return dict(found if figure.k is None else found[str(figure.k)])


def _counts_key(task: str) -> str:
    return "manipulations" if task == "manipulation" else "questions"


def _curve_k(how: TaskProtocol) -> list[int]:
    """Returns the Ks of the curve: all where ranks give them, else those that are reported."""
    if how.curve_metric == "precision":
        return list(how.top_k)
    return list(range(1, max(how.top_k) + 1))


def _row(row: scores.MethodScores, how: TaskProtocol, grouping: scores.Grouping) -> dict[str, Any]:
    """Returns all figures of one row."""
    content: dict[str, Any] = {"name": row.name}
    for metric in how.metrics:
        found = {
            k: scores.summarize(row.values(Figure(metric, k)), grouping)
            for k in (how.top_k if scores.METRICS[metric].has_k else [None])
        }
        content[metric] = found[None] if None in found else {str(k): v for k, v in found.items()}
    content["curve"] = scores.curve(row, grouping, how.curve_metric, _curve_k(how))
    return content


def _published(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Returns the papers' tables of this figure on this data set, in the order of our groups."""
    plan = evaluation.plan
    if not plan.protocol.is_published:
        return []
    return [
        {
            "source": table.source,
            "protocol": table.protocol,
            "rows": [
                {
                    "name": name,
                    "per_group": table.aligned(name, plan.group_names),
                    "mean": mean,
                    "over_queries": name in table.over_queries,
                }
                for name, (_, mean) in table.rows.items()
            ],
        }
        for table in published.tables_for(plan.dataset, plan.protocol.task)
        if table.figure == plan.protocol.headline
    ]
