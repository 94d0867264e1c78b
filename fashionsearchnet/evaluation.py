"""Measures a system: features once, then every manipulation for every row of the table."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from fashionsearchnet import metrics, protocol, runs, scores
from fashionsearchnet.arrays import differs_from_previous
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.features import extract_features
from fashionsearchnet.index.exact import nearest
from fashionsearchnet.methods import Features, Method, methods, system_name


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
      query_split: split of the query images; TFDS slicing such as `validation[:30%]` works.
      gallery_split: split of the gallery images, without the queries.
      hit_rule: one of `protocol.HIT_RULES`.
      add_missing: also give values to attributes that a query lacks.
      num_changes: how many attributes change at once; the paper's figures are for 1.
      max_manipulations_per_attribute: draw so many of each attribute, or of each set of attributes
        that change together; None for all, which may be millions for more than one change.
      top_k: the Ks to report.
      headline_k: the K of the main table; one of `top_k`.
      num_resamples: of the bootstrap over query images.
      seed: of the draw and the bootstrap.
    """

    query_split: str = "query"
    gallery_split: str = "gallery"
    hit_rule: str = "identical"
    add_missing: bool = False
    num_changes: int = 1
    max_manipulations_per_attribute: int | None = None
    top_k: tuple[int, ...] = (1, 5, 10, 20, 30, 40, 50)
    headline_k: int = 20
    num_resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("hit_rule", self.hit_rule, protocol.HIT_RULES)
        for k in self.top_k:
            check_range("top_k", k, 1)
        check_choice("headline_k", self.headline_k, self.top_k)
        check_range("num_changes", self.num_changes, 1)
        check_range("num_resamples", self.num_resamples, 1)


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
) -> Evaluation:
    """Returns the measured system beside the three baselines; see `evaluate_each`."""
    return next(evaluate_each(system, dataset, [settings], beside, name, batch_size))


def evaluate_each(
    system: Any,
    dataset: Any,
    settings: Sequence[Settings],
    beside: Iterable[tuple[str, scores.Outcomes]] = (),
    name: str = "",
    batch_size: int = 64,
) -> Iterator[Evaluation]:
    """Yields an evaluation for each of some settings; every image is seen once for all of them.

    Args:
      system: a trained system.
      dataset: of `pipeline.open_dataset`.
      settings: how to measure, such as with one and with two changes; all on the same splits.
      beside: stored outcomes of other runs on the same manipulations, each with a text that says
        where it is from; their systems get a row.
      name: of the system's row; '' for the system's own name.
      batch_size: images per step of the feature extraction.

    Raises:
      ValueError: if data and system have different attributes, the splits overlap, no
        manipulation exists, or `beside` was measured on others.
    """
    system.space.check_same(dataset.space, "the system", f"data set {dataset.name}")
    beside = list(beside)
    (splits,) = {(how.query_split, how.gallery_split) for how in settings}
    query_ids, gallery_ids = (list(dataset.image_ids(split)) for split in splits)
    _check_disjoint(query_ids, gallery_ids, splits)
    query_labels, gallery_labels = (np.asarray(dataset.labels(split)) for split in splits)
    gallery = protocol.Gallery(gallery_labels)
    # All manipulations before the long work: what cannot be measured is said at once.
    listed = [_manipulations(query_labels, gallery, how) for how in settings]
    name = name or system_name(system)
    query_features, gallery_features = (
        extract_features(system, dataset, split, batch_size) for split in splits
    )
    fit = localization(system, dataset, splits, query_features, gallery_features)
    rows = methods(system, query_features, gallery_features, name)
    for how, manipulations in zip(settings, listed, strict=True):
        measured = [rank_method(method, manipulations, gallery, how) for method in rows]
        outcomes = scores.Outcomes(
            protocol=_protocol_text(dataset, how, query_ids, gallery_ids),
            query=manipulations.query,
            group=manipulations.group,
            edits=manipulations.edits,
            group_names=manipulations.group_names(system.space.names),
            top_k=how.top_k,
            rows=(measured[-1], *measured[:-1]),
        )
        others = _rows_beside(outcomes, beside, [row.name for row in measured])
        chance = chance_row(manipulations, gallery, how)
        yield Evaluation(
            space=system.space,
            settings=how,
            dataset=dataset.name,
            num_queries=len(query_ids),
            num_gallery=len(gallery_ids),
            manipulations=manipulations,
            rows=(chance, *measured[:-1], *others, measured[-1]),
            outcomes=outcomes,
            localization=fit,
            system=describe_system(system, name),
            versions=runs.versions(),
        )


def rank_method(
    method: Method,
    manipulations: protocol.Manipulations,
    gallery: protocol.Gallery,
    settings: Settings,
) -> scores.MeasuredRow:
    """Returns the rank of the first hit and the NDCG of every manipulation."""
    number, longest = len(manipulations), min(max(settings.top_k), len(gallery))
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


def chance_row(
    manipulations: protocol.Manipulations, gallery: protocol.Gallery, settings: Settings
) -> scores.ChanceRow:
    """Returns the row of a random order of the gallery, by formula."""
    targets = manipulations.targets
    gain = gallery.mean_gain(targets, settings.hit_rule)
    return scores.ChanceRow(
        num_relevant=gallery.num_relevant(targets, settings.hit_rule),
        num_items=len(gallery),
        ndcg=np.repeat(gain[:, None], len(settings.top_k), axis=1),
    )


def localization(
    system: Any,
    dataset: Any,
    splits: tuple[str, str],
    query_features: Features,
    gallery_features: Features,
) -> dict[str, Any] | None:
    """Returns how well the boxes of the queries and the gallery fit, or None without boxes."""
    if not dataset.has_boxes or "boxes" not in query_features:
        return None
    boxes = np.concatenate([query_features["boxes"], gallery_features["boxes"]])
    truth = np.concatenate([dataset.boxes(split, system.image_size) for split in splits])
    return score_boxes(dataset.space, boxes, truth)


def score_boxes(space: AttributeSpace, boxes: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Returns for each attribute how well boxes fit, beside a box that covers the whole image.

    Args:
      space: A attributes.
      boxes: float `[N, A, 4]` (ymin, xmin, ymax, xmax) in [0, 1], predicted.
      truth: float `[N, A, 4]`, -1 where there is none.

    Returns:
      For each attribute that has true boxes, and for "mean" (plain mean over those): `images`,
      `center_in_box` (share of images), `iou`, `area` of the predicted box (share of the image),
      `true_area`, `whole_image_center_in_box`, `whole_image_iou`.
    """
    whole = np.array([0.0, 0.0, 1.0, 1.0])
    result: dict[str, Any] = {}
    for attribute, name in enumerate(space.names):
        present = (truth[:, attribute] >= 0).all(axis=-1)
        if not present.any():
            continue
        own, true = boxes[present, attribute], truth[present, attribute].astype(np.float64)
        result[name] = {
            "images": int(present.sum()),
            "center_in_box": float(metrics.center_in_box(own, true).mean()),
            "iou": float(metrics.box_iou(own, true).mean()),
            "area": float(metrics.box_area(own).mean()),
            "true_area": float(metrics.box_area(true).mean()),
            "whole_image_center_in_box": float(metrics.center_in_box(whole[None], true).mean()),
            "whole_image_iou": float(
                metrics.box_iou(np.broadcast_to(whole, true.shape), true).mean()
            ),
        }
    if result:
        keys = next(iter(result.values()))
        result["mean"] = {
            key: float(np.mean([entry[key] for entry in result.values()])) for key in keys
        }
    return result


def describe_system(system: Any, name: str) -> dict[str, Any]:
    """Returns the name of the system's row, its class and its arguments."""
    arguments = dict(getattr(system, "arguments", {}))
    return {"name": name, "class": type(system).__name__, "arguments": arguments}


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
    outcomes: scores.Outcomes,
    beside: Iterable[tuple[str, scores.Outcomes]],
    taken: Sequence[str],
) -> list[scores.MeasuredRow]:
    """Returns the system's row of each stored outcome, under a name not yet taken."""
    rows: list[scores.MeasuredRow] = []
    names = {"chance", *taken}
    for source, other in beside:
        outcomes.check_comparable(other, "this evaluation", source)
        row = other.row()
        name = row.name
        if name in names:
            name = f"{row.name} ({source})"
        names.add(name)
        rows.append(dataclasses.replace(row, name=name))
    return rows


def _check_disjoint(
    query_ids: Sequence[str], gallery_ids: Sequence[str], splits: tuple[str, str]
) -> None:
    """Raises a ValueError if an image is both query and gallery item."""
    shared = set(query_ids) & set(gallery_ids)
    if shared:
        raise ValueError(
            f"{len(shared)} images are both in query split {splits[0]!r} and in gallery "
            f"split {splits[1]!r} (such as {min(shared)!r}); they must be disjoint. "
            "To cut one split use slices such as 'validation[:30%]' and 'validation[30%:]'."
        )


def _protocol_text(
    dataset: Any, settings: Settings, query_ids: Sequence[str], gallery_ids: Sequence[str]
) -> str:
    """Returns a text that is equal only if data, splits and rules are."""
    digest = hashlib.sha256("\n".join([*query_ids, "", *gallery_ids]).encode()).hexdigest()[:16]
    most = settings.max_manipulations_per_attribute or "all"
    return (
        f"data set {dataset.name} (attributes {dataset.space.fingerprint}, images {digest}), "
        f"query split {settings.query_split}, gallery split {settings.gallery_split}, hit rule "
        f"{settings.hit_rule}, add missing {settings.add_missing}, attributes changed at once "
        f"{settings.num_changes}, manipulations of each set of attributes {most}, "
        f"top-k {','.join(map(str, settings.top_k))}, seed {settings.seed}"
    )
