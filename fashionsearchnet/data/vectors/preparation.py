"""Prepares a data set of vectors: joins them with a table of labels, splits them, and stores them.

Every row of the table is used or reported. A vector without labels is kept: it is searched, and the
stages that read no labels train on it.
"""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.catalogue.table import TableColumns, TableFormat, read_table
from fashionsearchnet.data.preparation import records, splits
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.records import Record
from fashionsearchnet.data.vectors.dataset import DESCRIPTION, UNLABELLED, VERSION, VectorDataset
from fashionsearchnet.data.vectors.vector_files import FoundVectors, VectorFile, read_vectors

_SHOWN = 5  # examples in a report
REPORT = "preparation_report.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorOptions(PreparationOptions):
    """Options of the preparation of vectors.

    Attributes:
      file: of the vectors.
      csv: path of the table of labels.
      columns: of the table; `image` is that of the ids.
      format: of the table.
      min_count: values that fewer vectors have are missing labels.
    """

    file: VectorFile
    csv: str
    columns: TableColumns
    format: TableFormat = dataclasses.field(default_factory=TableFormat)
    min_count: int = 20
    split_by: str = "id"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("min_count", self.min_count, 1)
        if not self.columns.attributes:
            raise ValueError("--attributes must name at least one column of --csv; got none.")


@dataclasses.dataclass(frozen=True)
class Labelled:
    """The vectors with what the table says of them.

    Attributes:
      space: the attributes.
      labels: int32 `[num, A]`, -1 for missing.
      columns: what a shop shows of each.
      groups: the product of each, '' if that is not known.
      report: what was found, for people.
    """

    space: AttributeSpace
    labels: np.ndarray
    columns: list[dict[str, str]]
    groups: list[str]
    report: dict[str, Any]


def prepare(
    options: VectorOptions, data_dir: str | os.PathLike[str], overwrite: bool = False
) -> tuple[VectorDataset, dict[str, Any]]:
    """Stores `<data_dir>/vectors/<name>` and returns it with its report.

    The splits depend on the ids, and on nothing else once they exist: with --overwrite every id
    stays in its split. Vectors without any label are the split `unlabelled`.

    Raises:
      FileNotFoundError: if a file does not exist.
      ValueError: for vectors, ids or a table that cannot be used, an attribute without two values,
        or a data set of this name with other content, unless `overwrite` is set.
      BlockingIOError: if another process prepares this name.
      OSError: if the folder cannot be written or the disk is full; a former data set is unchanged.
    """
    folder = Path(data_dir).expanduser() / "vectors" / options.name / VERSION
    lock = folder.parent.parent / f".{options.name}.lock"
    with _in_words(folder):
        lock.parent.mkdir(parents=True, exist_ok=True)
    with files.hold_lock(lock, f"prepares vectors/{options.name}"):
        files.restore_folder(folder, _former_folder(folder))
        former = _former(folder)
        made_from = _made_from(options)
        if former and former["made_from"] == made_from and not overwrite:
            return VectorDataset(folder), files.read_json(folder / REPORT, "its report", "")
        if former and not overwrite:
            raise ValueError(
                f"{folder} holds other vectors, labels or options. Choose another --name, or "
                "replace it by --overwrite."
            )
        found = read_vectors(options.file)
        known = label_vectors(found.ids, options)
        indices, bounds = _split(found.ids, known, options, former)
        report = known.report | {"splits": {name: len(rows) for name, rows in indices.items()}}
        description = {
            "vector_input": found.vector_input.to_dict(),
            "splits": report["splits"],
            "bounds": bounds,
            "made_from": made_from,
        }
        with _in_words(folder):
            _store(folder, found, known, indices, description, report)
    return VectorDataset(folder), report


def label_vectors(ids: list[str], options: VectorOptions) -> Labelled:
    """Returns what the table says of the vectors with these ids."""
    attributes = options.columns.attributes
    table = read_table(Path(options.csv).expanduser(), options.columns, options.format)
    rows, repeated, odd = records.unite_records(
        table.records, [record.image for record in table.records], attributes, "repeated row"
    )
    place = {name: row for row, name in enumerate(ids)}
    used = [record for record in rows if record.image in place]
    without = [record for record in rows if record.image not in place]
    if not used:
        raise ValueError(
            f"no id of {options.csv} (column {options.columns.image!r}, such as "
            f"{rows[0].image!r}) has a vector in {options.file.path} (ids such as {ids[0]!r}). "
            "Name the column of the same ids by --id_column."
        )
    kept, rare = _without_rare_values(used, attributes, options.min_count, options.top_values)
    records.check_values(used, kept, attributes, options.min_count)
    space = records.attribute_space(kept, attributes)
    labels = np.full((len(ids), space.num_attributes), MISSING, np.int32)
    columns: list[dict[str, str]] = [{} for _ in ids]
    groups = [""] * len(ids)
    for record, values in zip(kept, records.encode_values(kept, space), strict=True):
        row = place[record.image]
        labels[row], columns[row], groups[row] = values, dict(record.columns), record.group
    report = {
        "vectors": len(ids),
        "labelled": int((labels != MISSING).any(axis=1).sum()),
        "rows": table.num_rows,
        "rows without a vector": len(without),
        "examples of these": [f"line {r.line}, id {r.image}" for r in without[:_SHOWN]],
        "unusable rows": [f"line {d.record.line}: {d.reason}" for d in [*table.drops, *repeated]],
        "contradictions": len(odd),
        "values that no vector has": _only_in(without, used, attributes),
        "rare values, now missing": rare,
        "values": records.count_values(kept, attributes),
        "notes": list(table.notes),
    }
    return Labelled(space, labels, columns, groups, report)


def report_text(report: dict[str, Any]) -> str:
    """Returns a report of `prepare` for the screen."""
    lines = [
        f"{report['vectors']:,} vectors, {report['labelled']:,} of them with a label; "
        f"{report['rows']:,} rows in the table",
        "splits: " + ", ".join(f"{name} {size:,}" for name, size in report["splits"].items()),
    ]
    if report["rows without a vector"]:
        some = "; ".join(report["examples of these"])
        lines.append(f"rows without a vector: {report['rows without a vector']:,} ({some})")
    if report["unusable rows"]:
        some = "; ".join(report["unusable rows"][:_SHOWN])
        lines.append(f"unusable rows: {len(report['unusable rows']):,} ({some})")
    if report["contradictions"]:
        lines.append(f"labels that rows disagree on, now missing: {report['contradictions']:,}")
    for key in ("values that no vector has", "rare values, now missing"):
        for name, counts in report[key].items():
            lines.append(f"{key}: {name}: {records.list_counts(counts, _SHOWN)}")
    return "\n".join([*lines, *(f"note: {note}" for note in report["notes"])])


def _without_rare_values(
    used: list[Record], attributes: tuple[str, ...], min_count: int, top_values: int
) -> tuple[list[Record], dict[str, dict[str, int]]]:
    """Returns the records with rare values as missing ones, and these values with their counts.

    A value is rare that fewer than `min_count` records have, or that is not among the `top_values`
    most frequent ones; 0 for all.
    """
    rare = {}
    for name, found in records.count_values(used, attributes).items():
        top = sorted(found, key=lambda value: -found[value])[: top_values or None]
        rare[name] = {v: n for v, n in found.items() if n < min_count or v not in top}
    kept = [
        dataclasses.replace(
            record,
            values=tuple(
                "" if value in rare[name] else value
                for name, value in zip(attributes, record.values, strict=True)
            ),
        )
        for record in used
    ]
    return kept, {name: found for name, found in rare.items() if found}


def _only_in(
    without: list[Record], used: list[Record], attributes: tuple[str, ...]
) -> dict[str, dict[str, int]]:
    """Returns the values that only rows without a vector have, with the number of rows."""
    known = records.count_values(used, attributes)
    only = {
        name: {value: number for value, number in found.items() if value not in known[name]}
        for name, found in records.count_values(without, attributes).items()
    }
    return {name: found for name, found in only.items() if found}


def _split(
    ids: list[str], known: Labelled, options: VectorOptions, former: dict[str, Any] | None
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Returns the rows of each split, and the bounds of the splits by id."""
    is_labelled = (known.labels != MISSING).any(axis=1)
    labelled = np.flatnonzero(is_labelled)
    keys = [known.groups[row] or ids[row] for row in labelled]
    sizes, seed, bounds = options.split_sizes, options.split_seed, None
    rows = np.arange(len(keys))
    if options.dense_splits:  # they depend on the labels, so they are cut again
        rows = splits.dense_rows(known.labels[labelled], keys)
        splits.check_dense(len(rows), sizes)
    elif former and former["made_from"]["splits"] == _split_options(options):
        bounds = former["bounds"]
    cut, bounds = splits.split_by_id([keys[row] for row in rows], sizes, seed, bounds)
    cut = splits.with_rest(cut, rows, len(keys))
    empty = [name for name, part in cut.items() if not len(part)]
    if empty:
        raise ValueError(
            f"the split {empty[0]!r} would have no vector of {len(keys):,}. Ask for other sizes of "
            "the splits, or label more vectors."
        )
    indices = {name: labelled[part] for name, part in cut.items()}
    return indices | {UNLABELLED: np.flatnonzero(~is_labelled)}, bounds


def _split_options(options: VectorOptions) -> dict[str, Any]:
    return {**options.split_sizes, "seed": options.split_seed}


def _made_from(options: VectorOptions) -> dict[str, Any]:
    """Returns all that the data set depends on, as JSON can hold it."""
    content = dataclasses.asdict(options)
    for name in ("limits", "name", *([] if options.dense_splits else ["dense_splits"])):
        del content[name]
    file = content.pop("file")
    for name, entries in (("csv", content), ("path", file), ("ids", file)):
        path = Path(entries[name]).expanduser() if entries[name] else None
        entries[name] = files.file_digest(path) if path is not None and path.is_file() else ""
    content = content | {"file": file, "splits": _split_options(options)}
    return _as_json(content)


def _as_json(content: Any) -> Any:
    """Returns the content as JSON gives it back: tuples as lists."""
    if isinstance(content, dict):
        return {key: _as_json(value) for key, value in content.items()}
    return [_as_json(value) for value in content] if isinstance(content, list | tuple) else content


def _former(folder: Path) -> dict[str, Any] | None:
    """Returns the description of a data set in this folder, if there is one."""
    if not (folder / DESCRIPTION).is_file():
        return None
    found: dict[str, Any] = files.read_json(folder / DESCRIPTION, "vectors", "Delete the folder.")
    return found


def _store(
    folder: Path,
    found: FoundVectors,
    known: Labelled,
    indices: dict[str, np.ndarray],
    description: dict[str, Any],
    report: dict[str, Any],
) -> None:
    """Writes a data set beside its place, and moves it there at the end."""
    order = np.concatenate(list(indices.values()))
    built = folder.with_name(".unfinished")
    shutil.rmtree(built, ignore_errors=True)  # of a preparation that was killed
    built.mkdir(parents=True)
    with contextlib.ExitStack() as unless_moved:
        unless_moved.callback(_remove_empty, folder.parent)
        unless_moved.callback(shutil.rmtree, built, ignore_errors=True)
        parts = (order[start : start + 4096] for start in range(0, len(order), 4096))
        vectors = (found.vectors[rows] for rows in parts)
        shape = (len(order), found.vector_input.size)
        files.write_array(built / "vectors.npy", shape, "<f4", vectors)
        np.save(built / "labels.npy", known.labels[order])
        _write_descriptions(built, found, known, order)
        files.write_json(built / REPORT, report)
        files.write_json(built / DESCRIPTION, description)
        files.replace_folder(built, folder, _former_folder(folder))
        unless_moved.pop_all()


def _write_descriptions(
    built: Path, found: FoundVectors, known: Labelled, order: np.ndarray
) -> None:
    """Writes the attributes, and the ids, products and columns of the vectors in this order."""
    known.space.save(built / "attribute_space.json")
    items = {
        "ids": [found.ids[row] for row in order],
        "groups": [known.groups[row] for row in order] if any(known.groups) else None,
        "columns": [known.columns[row] for row in order] if any(known.columns) else None,
    }
    files.write_json(built / "items.json", items)


@contextlib.contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    """Says which data set could not be written where the system refuses it."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # it is in words already
            raise
        raise OSError(
            f"cannot write {folder} ({error.strerror}); a former data set there is "
            "unchanged. Free some space or choose another --data_dir, then run the same command "
            "again."
        ) from error


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _former_folder(folder: Path) -> Path:
    return folder.with_name(".former")
