"""Measures a system: features once, then every question for every row of the tables."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation import metrics, scores
from fashionsearchnet.evaluation.localization import localization
from fashionsearchnet.evaluation.ranking import Method, Representations
from fashionsearchnet.evaluation.splits import read_splits
from fashionsearchnet.evaluation.tasks.task import Plan, TaskProtocol
from fashionsearchnet.index.exact import Candidates
from fashionsearchnet.systems.system import System
from fashionsearchnet.systems.trunk_outputs import features_of_split
from fashionsearchnet.training import runs


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All that a report is written from.

    Attributes:
      plan: the questions, with their protocol.
      rows: chance, the measured baselines, the systems of other runs, the system.
      outcomes: the figures of every question, as the .npz file stores them.
      localization: how well the boxes fit; None without boxes.
      system: name of the row, class, arguments, and weights if known.
      versions: of the software.
    """

    plan: Plan
    rows: tuple[scores.MethodScores, ...]
    outcomes: scores.Outcomes
    localization: dict[str, Any] | None
    system: dict[str, Any]
    versions: dict[str, str]


def make_plans(dataset: Dataset, protocols: Sequence[TaskProtocol]) -> list[Plan]:
    """Returns the questions of each protocol, without a look at an image.

    Raises:
      ValueError: if the splits of the protocols differ, overlap where they must not, or are empty;
        if there is nothing to ask.
    """
    names = {(how.query_split, how.gallery_split) for how in protocols}
    if len(names) != 1:
        raise ValueError(
            "all protocols must have the same query_split and gallery_split, since they share a "
            f"pass over the images; got {sorted(names)}. Evaluate each such pair on its own."
        )
    splits = read_splits(dataset, names.pop())
    return [protocol.make_plan(dataset, splits) for protocol in protocols]


def evaluate(
    system: System, dataset: Dataset, protocol: TaskProtocol, **options: Any
) -> Evaluation:
    """Returns the evaluation by one protocol; `options` are those of `evaluate_each`."""
    return next(evaluate_each(system, dataset, make_plans(dataset, [protocol]), **options))


def evaluate_each(
    system: System,
    dataset: Dataset,
    plans: Sequence[Plan],
    beside: Iterable[tuple[str, scores.Outcomes]] = (),
    name: str = "",
    batch_size: int = 64,
    weights: str = "",
    generic: tuple[np.ndarray, np.ndarray] | None = None,
    trunk_outputs: str | os.PathLike[str] | None = None,
) -> Iterator[Evaluation]:
    """Yields an evaluation for each plan; the network sees every image once for all of them.

    Args:
      system: a trained system.
      dataset: with the system's attributes.
      plans: of `make_plans`, such as with one and with two changes, or of another task.
      beside: stored outcomes of other runs on the same questions, with figures for the same Ks or
        more, each with a text that says where it is from; their systems get a row.
      name: of the system's row; '' for its title.
      batch_size: images per forward pass.
      weights: SHA-256 of the system's weights in hexadecimal, for the report; '' if not known.
      generic: vectors of the query split and of the gallery split that know nothing of the
        attributes, float32 `[N, dim]`; a labelled gallery has a row for them.
      trunk_outputs: folder where outputs of a frozen trunk are stored; see `features_of_split`.

    Raises:
      ValueError: if the system does not answer a task, has other attributes than the data, or its
        row the name of a baseline; if `beside` was measured on other questions. These come before
        the network sees an image. Also, later, if its vectors are broken.
    """
    system.space.check_same(dataset.space, "the system", f"data set {dataset.name}")
    for plan in plans:
        system.check_answers(plan.protocol.task)
    name, beside = name or system.title, list(beside)
    if name in scores.BASELINES:
        raise ValueError(f"the row of a system cannot have the name of a baseline; got {name!r}.")
    others = [_scores_beside(plan, beside, name) for plan in plans]
    splits = plans[0].splits
    features = [
        features_of_split(system, dataset, split, trunk_outputs, batch_size)
        for split in splits.names
    ]
    # Where the queries are gallery images, none counts twice.
    counted = slice(0 if splits.own is None else 1, 2)
    fit = localization(
        system, dataset, dict(zip(splits.names[counted], features[counted], strict=True))
    )
    features[1] = {key: splits.of_gallery(rows) for key, rows in features[1].items()}
    if generic is not None:
        generic = generic[0], splits.of_gallery(generic[1])
    description = {"name": name, "class": type(system).__name__, "arguments": system.arguments}
    representations = Representations(system, *features, generic=generic)
    for plan, rows in zip(plans, others, strict=True):
        found = [measure(each, plan) for each in plan.methods(representations, name)]
        yield Evaluation(
            plan=plan,
            rows=(plan.chance(), *found[:-1], *rows, found[-1]),
            outcomes=dataclasses.replace(plan.outcomes(), rows=(found[-1], *found[:-1])),
            localization=fit,
            system=description | ({"weights": weights} if weights else {}),
            versions=runs.versions(),
        )


def measure(method: Method, plan: Plan) -> scores.MethodScores:
    """Ranks the candidates of each question of a plan by a method, and scores the rankings."""
    figures: dict[str, np.ndarray] = {}
    with tqdm(
        total=len(plan), desc=f"ranks of {method.name}", unit="query", unit_scale=True
    ) as bar:
        for group in np.unique(plan.group):
            index = method.index(int(group))
            members = np.flatnonzero(plan.group == group)
            for chunk in index.chunks(len(members)):
                rows = members[chunk]
                found = plan.score(*_ranked(method, index, plan, rows), rows)
                for name, values in found.items():
                    if name not in figures:
                        figures[name] = np.empty((len(plan), *values.shape[1:]), values.dtype)
                    figures[name][rows] = values
                bar.update(len(rows))
    return scores.MethodScores(method.name, figures, plan.protocol.top_k)


def _ranked(
    method: Method, index: Candidates, plan: Plan, questions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first two arguments of `Plan.score`; refuses infinite and NaN distances."""
    embeddings = method.embed(questions)
    # The unedited query is the same for all edits of an image, which come one after the other.
    is_new = metrics.differs_from_previous(embeddings)
    with np.errstate(over="ignore", invalid="ignore"):  # the error below says it
        distances = index.squared_distances(embeddings[is_new])
    if not is_new.all():
        distances = distances[np.cumsum(is_new) - 1]
    if not np.isfinite(distances.max()):
        raise ValueError(
            f"the vectors of {method.name!r} are so long that their distances are infinite or NaN: "
            "the training of this system went wrong; take an earlier checkpoint."
        )
    relevant = plan.relevant(questions)
    if method.passes is not None:
        allowed = method.passes(questions)
        relevant &= allowed
        distances += np.where(allowed, 0.0, np.ptp(distances) + 1.0).astype(np.float32)
    if plan.own is not None:
        rows, own = np.arange(len(questions)), plan.own[questions]
        distances[rows, own] = np.inf  # behind all others
        relevant[rows, own] = False
    return distances, relevant


def _scores_beside(
    plan: Plan, beside: Sequence[tuple[str, scores.Outcomes]], name: str
) -> list[scores.MethodScores]:
    """Returns the system's scores of each stored outcome, under a name not yet taken."""
    top_k, rows = plan.protocol.top_k, []
    names = {*scores.BASELINES, name}
    for source, other in beside:
        plan.outcomes().check_comparable(other, "this evaluation", source)
        row = other.row()
        lacking = sorted({*top_k} - {*row.top_k})
        if lacking:
            raise ValueError(
                f"{source} has no figures for top_k {', '.join(map(str, lacking))}; it was "
                f"measured with top_k {', '.join(map(str, row.top_k))}. Choose among these, or "
                "evaluate that run again."
            )
        new_name = f"{row.name} ({source})" if row.name in names else row.name
        names.add(new_name)
        columns = [row.top_k.index(k) for k in top_k]
        figures = {k: v[:, columns] if v.ndim == 2 else v for k, v in row.figures.items()}
        rows.append(scores.MethodScores(new_name, figures, top_k))
    return rows
