"""Reads vectors with their ids: .npy with a file of ids beside it, or Parquet."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np

from fashionsearchnet.checks import suggestion
from fashionsearchnet.files import file_digest
from fashionsearchnet.networks.image_input import VectorInput

SUFFIXES = (".npy", ".parquet")
_NPY = b"\x93NUMPY"  # how a .npy file begins
_DIGITS = 16  # of a digest
_SHOWN = 5  # examples in a message


@dataclasses.dataclass(frozen=True)
class VectorFile:
    """Which file, and how it is read.

    Attributes:
      path: of the vectors: .npy of numbers `[num, size]`, or .parquet.
      ids: path of the ids of a .npy: text with one id in a line, or .npy of texts. By default the
        path of the vectors with .ids.txt in place of .npy. Not for Parquet.
      id_column: of a Parquet file.
      vector_column: of a Parquet file: lists of numbers.
      metric: see `VectorInput`.
      features_model: see `VectorInput.features`; '' for the digest of the file.
    """

    path: str
    ids: str = ""
    id_column: str = "id"
    vector_column: str = "vector"
    metric: str = "cosine"
    features_model: str = ""


@dataclasses.dataclass(frozen=True)
class FoundVectors:
    """What a file of vectors holds, all of it usable.

    Attributes:
      ids: different, none blank.
      vectors: float `[num, size]`, finite.
      vector_input: size, metric and source.
    """

    ids: list[str]
    vectors: np.ndarray
    vector_input: VectorInput


def read_vectors(file: VectorFile) -> FoundVectors:
    """Returns the vectors of a file with their ids.

    Raises:
      FileNotFoundError: if a file does not exist.
      ValueError: for Parquet without the package pyarrow. Naming file and row: for vectors of two
        lengths, numbers that are not finite, ids that are blank, occur twice or are not as many as
        the vectors, and for zeros where directions are compared.
    """
    path = Path(file.path).expanduser()
    _check_exists(path, "--features")
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"--features={path} must be {' or '.join(SUFFIXES)}; save the vectors by numpy.save, "
            "one row for each."
        )
    if path.suffix == ".parquet":
        if file.ids:
            raise ValueError(
                f"--ids is for a .npy file; {path} has its ids in a column, see --id_column."
            )
        ids, vectors = _read_parquet(path, file.id_column, file.vector_column)
    else:
        vectors = _read_npy(path)
        ids = _read_ids(path, file.ids, len(vectors))
    _check_ids(path, ids)
    _check_vectors(path, ids, vectors, file.metric)
    features = file.features_model or file_digest(path)[:_DIGITS]
    vector_input = VectorInput(vectors.shape[1], metric=file.metric, features=features)
    return FoundVectors(ids, vectors, vector_input)


def read_one_vector(path: str, vector_input: VectorInput) -> np.ndarray:
    """Returns the only vector in a file, float32 `[size]`: .npy, or text with a JSON list.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not such a vector.
    """
    found = Path(path).expanduser()
    _check_exists(found, "--vector")
    return vector_from_bytes(found.read_bytes(), vector_input, f"the vector in {found}")


def vector_from_bytes(data: bytes, vector_input: VectorInput, what: str) -> np.ndarray:
    """Returns the only vector in the bytes of a .npy file, or of a JSON list, float32 `[size]`.

    Raises:
      ValueError: beginning with `what`, if they hold no vector or another one; see `VectorInput`.
    """
    try:
        if data.startswith(_NPY):
            vector = np.load(io.BytesIO(data), allow_pickle=False)
        else:
            vector = np.asarray(json.loads(data), np.float64)
        numbers = np.atleast_1d(np.asarray(vector, np.float64))
    except (ValueError, TypeError, EOFError, RecursionError, OverflowError) as error:
        raise ValueError(
            f"{what} must be a .npy file or a JSON list of {vector_input.size} numbers, such as "
            f"[0.1, -0.2]; it cannot be read ({str(error)[:100]})."
        ) from error
    return vector_input.check(numbers[0] if numbers.shape[:-1] == (1,) else numbers, what)


def _check_exists(path: Path, flag: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{flag}={path} does not exist, or is a folder; check the path.")


def _read_npy(path: Path) -> np.ndarray:
    """Returns the table of numbers in a .npy file, which stays on disk."""
    cure = "Write vectors of one length by numpy.save."
    with open(path, "rb") as file:
        if file.read(len(_NPY)) != _NPY:
            raise ValueError(f"{path} is not a .npy file, whatever its name says. {cure}")
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        reason = str(error).split("\n")[0][:150]
        if "allow_pickle" in reason or "Array can't be memory-mapped" in reason:
            reason = "it holds objects, such as vectors of two lengths, not one table of numbers"
        elif "mmap length is greater" in reason:
            reason = "it ends before its last vector; was it copied or written as a whole?"
            cure = "Write or copy the file again."
        raise ValueError(f"{path} cannot be read: {reason.rstrip('.')}. {cure}") from error
    if vectors.ndim != 2 or not vectors.size or vectors.dtype.kind not in "fiu":
        raise ValueError(
            f"{path} must hold numbers [number of vectors, size]; it holds {vectors.dtype} "
            f"{list(vectors.shape)}. {cure}"
        )
    return vectors


def _read_ids(path: Path, ids: str, number: int) -> list[str]:
    """Returns the ids beside a .npy file."""
    source = Path(ids).expanduser() if ids else path.with_suffix(".ids.txt")
    if not source.is_file():
        raise FileNotFoundError(
            f"{source} does not exist: the vectors of {path} need ids. Write one id in a line, in "
            "the order of the vectors, and name the file by --ids."
        )
    try:
        if source.suffix == ".npy":
            found = [str(name) for name in np.load(source, allow_pickle=False).ravel()]
        else:
            found = source.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except (ValueError, EOFError) as error:  # a UnicodeError is a ValueError
        raise ValueError(
            f"{source} cannot be read ({str(error)[:100]}): ids are UTF-8 text with one id in a "
            "line, or a .npy of texts (numpy.save of an array of str)."
        ) from error
    if len(found) != number:
        raise ValueError(
            f"{source} has {len(found):,} ids, but {path} has {number:,} vectors; there must be "
            "one id for each vector, in the same order, and no header."
        )
    return [name.strip() for name in found]


def _read_parquet(path: Path, id_column: str, vector_column: str) -> tuple[list[str], np.ndarray]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise ValueError(
            f"reading {path} needs the package pyarrow: pip install 'fashionsearchnet[parquet]', "
            "or save the vectors by numpy.save."
        ) from error
    try:
        names = parquet.read_schema(path).names
        for flag, column in (("id_column", id_column), ("vector_column", vector_column)):
            if column not in names:
                raise ValueError(
                    f"{path} has no column {column!r}{suggestion(column, names)}; columns: "
                    f"{', '.join(names)}. Name it by --{flag}."
                )
        table = parquet.read_table(path, columns=[id_column, vector_column])
    except (ArrowException, OSError) as error:
        reason = str(error).split("\n")[0][:150]
        raise ValueError(
            f"{path} is not a readable Parquet file ({reason.rstrip('.')}). Write or copy it "
            "again, or save the vectors by numpy.save."
        ) from error
    ids = ["" if name is None else str(name).strip() for name in table[id_column].to_pylist()]
    return ids, _stack(path, ids, table[vector_column].to_pylist())


def _stack(path: Path, ids: list[str], rows: list) -> np.ndarray:
    """Returns float32 `[num, size]` of lists, or names the row that is none or another length."""
    if not rows:
        raise ValueError(f"{path} holds no row.")
    vectors = np.empty((len(rows), len(rows[0]) if isinstance(rows[0], list) else 0), np.float32)
    for row, numbers in enumerate(rows):
        if not isinstance(numbers, list) or not numbers:
            raise ValueError(
                f"row {row} of {path} (id {ids[row]!r}) must hold a list of numbers; got "
                f"{str(numbers)[:50]}."
            )
        if len(numbers) != vectors.shape[1]:
            raise ValueError(
                f"row {row} of {path} (id {ids[row]!r}) has {len(numbers)} numbers, but row 0 has "
                f"{vectors.shape[1]}: all vectors must be of one model. Leave out the others."
            )
        try:
            vectors[row] = [np.nan if number is None else number for number in numbers]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"row {row} of {path} (id {ids[row]!r}) must hold numbers: {error}."
            ) from error
    return vectors


def _check_ids(path: Path, ids: list[str]) -> None:
    first: dict[str, int] = {}
    twice = []
    for row, name in enumerate(ids):
        if not name:
            raise ValueError(f"row {row} of {path} has a blank id; give each vector its own.")
        if name in first:
            twice.append(f"{name!r} (rows {first[name]} and {row})")
        first.setdefault(name, row)
    if twice:
        raise ValueError(
            f"{path}: {len(twice):,} of {len(ids):,} rows repeat an id: "
            f"{', '.join(twice[:_SHOWN])}. Give each vector its own id, or leave the repeated rows "
            "out."
        )


def _check_vectors(path: Path, ids: list[str], vectors: np.ndarray, metric: str) -> None:
    """Raises a ValueError that names the rows without a usable vector."""
    rules = {
        "NaN, infinite numbers, or numbers too large for float32": lambda part: (
            ~np.isfinite(part).all(axis=1)
        )
    }
    if metric == "cosine":
        rules["zeros only, which have no direction"] = lambda part: ~part.any(axis=1)
    for words, is_broken in rules.items():
        found: list[int] = []
        for start in range(0, len(vectors), 4096):
            with np.errstate(over="ignore"):  # what becomes infinite is reported
                part = np.asarray(vectors[start : start + 4096], np.float32)
            found += (start + np.flatnonzero(is_broken(part))).tolist()
        if found:
            some = ", ".join(f"{row} (id {ids[row]!r})" for row in found[:_SHOWN])
            raise ValueError(
                f"{path}: {len(found):,} of {len(vectors):,} rows hold {words}: {some}. Compute "
                "these vectors again, or leave the rows out."
            )
