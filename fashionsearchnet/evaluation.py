"""Measures a system: features once, then every manipulation for every row of the table."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

DEFAULT_DRAW = 500  # manipulations of each set of attributes, where several change at once


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
      query_split: split of the query images; TFDS slicing such as `validation[:30%]` works.
      gallery_split: split of the gallery images, without the queries.
      queries_in_gallery: every query is a gallery image too, as in ADDE's splits; it is then left
        out of its own ranking.
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
    queries_in_gallery: bool = False
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


def default_draw(num_changes: int) -> int | None:
    """Returns how many manipulations of each set are drawn if nobody says it; None for all."""
    return DEFAULT_DRAW if num_changes > 1 else None


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
    splits, images = _common_images(dataset, settings)
    # All plans before the long work: what cannot be measured or compared is said at once.
    beside = list(beside)
    plans = [_plan(dataset, images, how, beside, name) for how in settings]
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
            system=describe_system(system, name, weights),
            versions=runs.versions(),
        )


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


def localization(
    system: Any, dataset: Any, features: Mapping[str, Features]
) -> dict[str, Any] | None:
    """Returns how well the boxes fit in the splits whose features are given; None without boxes."""
    if not dataset.has_boxes or not all("boxes" in found for found in features.values()):
        return None
    boxes = np.concatenate([found["boxes"] for found in features.values()])
    truth = np.concatenate([dataset.boxes(split, system.image_size) for split in features])
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


def describe_system(system: Any, name: str, weights: str = "") -> dict[str, Any]:
    """Returns the name of the system's row, its class, its arguments and its weights if known."""
    arguments = dict(getattr(system, "arguments", {}))
    described = {"name": name, "class": type(system).__name__, "arguments": arguments}
    return described | ({"weights": weights} if weights else {})


@dataclasses.dataclass(frozen=True)
class _Images:
    """The queries and the gallery of some evaluations.

    Attributes:
      query_labels: int32 `[queries, A]`.
      gallery: with its labels.
      own: int `[queries]`, the position of each in the gallery; None if none is in it.
      digest: text that is equal only for the same images with the same labels.
    """

    query_labels: np.ndarray
    gallery: protocol.Gallery
    own: np.ndarray | None
    digest: str


def _common_images(dataset: Any, settings: Sequence[Settings]) -> tuple[tuple[str, str], _Images]:
    """Returns the query split and the gallery split that all settings name, and their images."""
    named = {(how.query_split, how.gallery_split, how.queries_in_gallery) for how in settings}
    if len(named) != 1:
        raise ValueError(
            "all settings must have the same query_split, gallery_split and queries_in_gallery, "
            f"since they share a pass over the images; got {sorted(named)}. Evaluate each such "
            "group by a call of its own."
        )
    ((query_split, gallery_split, queries_in_gallery),) = named
    splits = query_split, gallery_split
    query_ids, gallery_ids = (list(dataset.image_ids(split)) for split in splits)
    query_labels, gallery_labels = (np.asarray(dataset.labels(split)) for split in splits)
    content = [query_ids, query_labels.tolist(), gallery_ids, gallery_labels.tolist()]
    own = None
    if queries_in_gallery:
        own = _own_positions(query_ids, gallery_ids, splits)
    else:
        _check_disjoint(query_ids, gallery_ids, splits)
    return splits, _Images(
        query_labels=query_labels,
        gallery=protocol.Gallery(gallery_labels),
        own=own,
        digest=hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16],
    )


def _plan(
    dataset: Any,
    images: _Images,
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


def _check_disjoint(
    query_ids: Sequence[str], gallery_ids: Sequence[str], splits: tuple[str, str]
) -> None:
    """Raises a ValueError if an image is both query and gallery item."""
    shared = set(query_ids) & set(gallery_ids)
    if shared:
        raise ValueError(
            f"{len(shared)} images are both in query split {splits[0]!r} and in gallery "
            f"split {splits[1]!r} (such as {min(shared)!r}); they must be disjoint. "
            "To cut one split use slices such as 'validation[:30%]' and 'validation[30%:]'; where "
            "all queries belong to the gallery, as in ADDE's splits, set queries_in_gallery."
        )


def _own_positions(
    query_ids: Sequence[str], gallery_ids: Sequence[str], splits: tuple[str, str]
) -> np.ndarray:
    """Returns int `[queries]`: the position of each query image in the gallery.

    Raises:
      ValueError: if one is not there.
    """
    position = {image_id: i for i, image_id in enumerate(gallery_ids)}
    absent = [image_id for image_id in query_ids if image_id not in position]
    if absent:
        raise ValueError(
            f"queries_in_gallery needs every query in the gallery, but {len(absent)} images of "
            f"query split {splits[0]!r} are not in gallery split {splits[1]!r} (such as "
            f"{min(absent)!r}). Leave it off where the two are disjoint."
        )
    return np.array([position[image_id] for image_id in query_ids])


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
