"""Measures a system: features once, then every manipulation for every row of the table."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.evaluation import protocol, scores
from fashionsearchnet.evaluation.boxes import localization
from fashionsearchnet.evaluation.images import common_images
from fashionsearchnet.evaluation.methods import methods, system_name
from fashionsearchnet.evaluation.plans import plan
from fashionsearchnet.evaluation.ranking import chance_row, rank_method
from fashionsearchnet.evaluation.settings import Settings
from fashionsearchnet.systems.features import extract_features
from fashionsearchnet.training import runs


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All that a report is written from; `rows` are the baselines, others' rows, the system's."""

    space: AttributeSpace
    settings: Settings
    dataset: str
    num_queries: int
    num_gallery: int
    manipulations: protocol.Manipulations
    rows: tuple[scores.Row, ...]
    outcomes: scores.Outcomes
    localization: dict[str, Any] | None
    system: dict[str, Any]
    versions: dict[str, str]


def evaluate(
    system: Any,
    dataset: Any,
    settings: Settings,
    beside: Iterable[tuple[str, scores.Outcomes]] = (),
    name: str = "",
    batch_size: int = 64,
    weights: str = "",
) -> Evaluation:
    """Returns the measured system beside the three baselines; see `evaluate_each`."""
    return next(evaluate_each(system, dataset, [settings], beside, name, batch_size, weights))


def evaluate_each(
    system: Any,
    dataset: Any,
    settings: Sequence[Settings],
    beside: Iterable[tuple[str, scores.Outcomes]] = (),
    name: str = "",
    batch_size: int = 64,
    weights: str = "",
) -> Iterator[Evaluation]:
    """Yields an evaluation for each of some settings; every image is seen once for all of them.

    Args:
      system: a trained system.
      dataset: of `pipeline.open_dataset`.
      settings: how to measure, such as with one and with two changes; all on the same splits.
      beside: stored outcomes of other runs on the same manipulations, with NDCG for the same Ks or
        more, each with a text that says where it is from; their systems get a row.
      name: of the system's row; '' for the system's own name.
      batch_size: images per step of the feature extraction.
      weights: SHA-256 of the system's weights in hexadecimal, for the report; '' if not known.

    Raises:
      ValueError: if data and system have different attributes, the splits differ or overlap (or,
        with `queries_in_gallery`, a query is not in the gallery), no manipulation exists, or
        `beside` was measured on others. All but the system's own faults are found before the
        images are looked at.
    """
    system.space.check_same(dataset.space, "the system", f"data set {dataset.name}")
    name = name or system_name(system)
    splits, images = common_images(dataset, settings)
    # All plans before the long work: what cannot be measured or compared is said at once.
    beside = list(beside)
    plans = [plan(dataset, images, how, beside, name) for how in settings]
    query_features, gallery_features = (
        extract_features(system, dataset, split, batch_size) for split in splits
    )
    found = {splits[0]: query_features, splits[1]: gallery_features}
    if images.own is not None:  # no image counts twice
        found = {splits[1]: gallery_features}
    fit = localization(system, dataset, found)
    rows = methods(system, query_features, gallery_features, name)
    for how, (manipulations, outcomes, others) in zip(settings, plans, strict=True):
        own = None if images.own is None else images.own[manipulations.query]
        measured = [rank_method(row, manipulations, images.gallery, how, own) for row in rows]
        yield Evaluation(
            space=system.space,
            settings=how,
            dataset=dataset.name,
            num_queries=len(images.query_labels),
            num_gallery=len(images.gallery),
            manipulations=manipulations,
            rows=(
                chance_row(manipulations, images.gallery, how, own),
                *measured[:-1],
                *others,
                measured[-1],
            ),
            outcomes=dataclasses.replace(outcomes, rows=(measured[-1], *measured[:-1])),
            localization=fit,
            system=_describe(system, name, weights),
            versions=runs.versions(),
        )


def _describe(system: Any, name: str, weights: str = "") -> dict[str, Any]:
    """Returns the name of the system's row, its class, its arguments and its weights if known."""
    arguments = dict(getattr(system, "arguments", {}))
    described = {"name": name, "class": type(system).__name__, "arguments": arguments}
    return described | ({"weights": weights} if weights else {})
