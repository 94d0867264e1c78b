"""Files of vectors: what is read, and what is refused with file, row and cure."""

import builtins

import numpy as np
import pytest
from small_vectors import SIZE, vectors

from fashionsearchnet.data.vectors.vector_files import VectorFile, read_vectors, vector_from_bytes
from fashionsearchnet.networks.image_input import ImageInput, VectorInput, encode_vector

INPUT = VectorInput(3, features="clip")


def save(folder, found=None, ids=None):
    """Writes vectors and ids, and returns the file."""
    some, names, _ = vectors(6)
    np.save(folder / "v.npy", some if found is None else found)
    (folder / "v.ids.txt").write_text("\n".join(names if ids is None else ids))
    return VectorFile(str(folder / "v.npy"))


def save_parquet(folder, rows, ids=("a", "b", "c")):
    """Writes a Parquet file, and returns it."""
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"sku": list(ids), "vector": rows})
    pytest.importorskip("pyarrow.parquet").write_table(table, folder / "v.parquet")
    return VectorFile(str(folder / "v.parquet"), id_column="sku")


def test_npy(tmp_path):
    found = read_vectors(save(tmp_path))
    np.testing.assert_array_equal(found.vectors, vectors(6)[0])
    assert found.ids == vectors(6)[1]
    assert found.vector_input.size == SIZE
    assert len(found.vector_input.features) == 16


def test_another_file_has_another_digest_and_a_name_wins(tmp_path):
    first = read_vectors(save(tmp_path)).vector_input.features
    second = read_vectors(save(tmp_path, vectors(6, seed=1)[0])).vector_input.features
    assert first != second
    named = VectorFile(str(tmp_path / "v.npy"), features_model="clip")
    assert read_vectors(named).vector_input.features == "clip"


def test_parquet(tmp_path):
    found = read_vectors(save_parquet(tmp_path, [[1.0, 2.0], [3.0, 4.0], [0.0, 5.0]]))
    np.testing.assert_array_equal(found.vectors, [[1, 2], [3, 4], [0, 5]])
    assert found.ids == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [[1.0, 2.0], [3.0], [4.0, 5.0]],
            r"row 1 of .*v.parquet \(id 'b'\) has 1 numbers, but .* 2",
        ),
        (
            [[1.0, 2.0], None, [4.0, 5.0]],
            r"row 1 .*\(id 'b'\) must hold a list of numbers; got None",
        ),
        ([[1.0, 2.0], [3.0, None], [4.0, 5.0]], r"1 of 3 rows hold NaN, .*: 1 \(id 'b'\)"),
    ],
)
def test_parquet_that_is_refused(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read_vectors(save_parquet(tmp_path, rows))


def test_a_column_that_is_not_there(tmp_path):
    file = save_parquet(tmp_path, [[1.0], [2.0], [3.0]])
    with pytest.raises(ValueError, match=r"no column 'id'.*columns: sku, vector.*--id_column"):
        read_vectors(VectorFile(file.path))


def test_parquet_without_its_package(tmp_path, monkeypatch):
    file = save_parquet(tmp_path, [[1.0], [2.0], [3.0]])
    known = builtins.__import__

    def importing(name, *others):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name)
        return known(name, *others)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ValueError, match=r"pip install 'fashionsearchnet\[parquet\]'"):
        read_vectors(file)


def broken(row, value):
    """Returns six vectors, one of them broken."""
    found = vectors(6)[0]
    found[row] = value
    return found


@pytest.mark.parametrize(
    ("found", "ids", "message"),
    [
        (broken(2, np.nan), None, r"v.npy: 1 of 6 rows hold NaN, .*: 2 \(id 'item0002'\).*Compute"),
        (broken(3, np.inf), None, r"v.npy: 1 of 6 rows hold NaN, infinite"),
        (
            np.full((6, 2), [1, 1e300]),
            None,
            r"v.npy: 6 of 6 rows hold .* too large for float32: 0 \(id 'item0000'\)",
        ),
        (broken(4, 0), None, r"v.npy: 1 of 6 rows hold zeros only.*: 4 \(id 'item0004'\)"),
        (None, list("abcabd"), r"v.npy: 2 of 6 rows repeat an id: 'a' \(rows 0 and 3\), 'b'"),
        (None, ["a", "", "c", "d", "e", "f"], r"row 1 of .*v.npy has a blank id"),
        (None, list("abc"), r"v.ids.txt has 3 ids, but .*v.npy has 6 vectors"),
        (
            np.zeros(6),
            None,
            r"must hold numbers \[number of vectors, size\]; it holds float64 \[6\]",
        ),
        (np.array([[1.0], [1.0, 2.0]], object), None, r"objects, such as vectors of two lengths"),
    ],
)
def test_npy_that_is_refused(tmp_path, found, ids, message):
    with pytest.raises(ValueError, match=message):
        read_vectors(save(tmp_path, found, ids))


def test_another_kind_of_file_named_npy_is_refused(tmp_path):
    file = save(tmp_path)
    np.savez(tmp_path / "v.npz", vectors(6)[0])
    for content in (b"1,2,3\n", (tmp_path / "v.npz").read_bytes(), b""):
        (tmp_path / "v.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"v.npy is not a .npy file.*numpy.save"):
            read_vectors(file)


def test_a_file_that_was_cut_is_refused(tmp_path):
    file = save(tmp_path)
    whole = (tmp_path / "v.npy").read_bytes()
    (tmp_path / "v.npy").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"v.npy cannot be read: it ends before .* copy the file"):
        read_vectors(file)


def test_ids_that_cannot_be_read_are_refused(tmp_path):
    file = save(tmp_path)
    (tmp_path / "v.ids.txt").write_bytes("caf\u00e9".encode("latin-1"))
    with pytest.raises(ValueError, match=r"v.ids.txt cannot be read .*UTF-8 text"):
        read_vectors(file)
    np.save(tmp_path / "ids.npy", np.array(["a", None], object))
    with pytest.raises(ValueError, match=r"ids.npy cannot be read .*a .npy of texts"):
        read_vectors(VectorFile(file.path, ids=str(tmp_path / "ids.npy")))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--features=.*none.npy does not exist"):
        read_vectors(VectorFile(str(tmp_path / "none.npy")))
    save(tmp_path)
    (tmp_path / "v.ids.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"v.ids.txt does not exist.*--ids"):
        read_vectors(VectorFile(str(tmp_path / "v.npy")))
    (tmp_path / "v.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"must be .npy or .parquet"):
        read_vectors(VectorFile(str(tmp_path / "v.csv")))


def test_one_vector_as_npy_or_json(tmp_path):
    np.save(tmp_path / "q.npy", np.array([[1.0, 2.0, 3.0]]))
    for data in ((tmp_path / "q.npy").read_bytes(), b"[1, 2, 3]", b"[[1, 2, 3]]"):
        np.testing.assert_array_equal(vector_from_bytes(data, INPUT, "it"), [1, 2, 3])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[1, 2]", r"^it must be one vector of 3 numbers.*shape \[2\].*another model"),
        (b"[1, NaN, 2]", r"^it must hold finite numbers; number 1 is nan"),
        (b"[0, 0, 0]", r"^it is all zeros"),
        (b"\xff\xd8\xff", r"^it must be a .npy file or a JSON list of 3 numbers"),
        (b'{"a": 1}', r"^it must be a .npy file or a JSON list"),
        (b"", r"^it must be a .npy file or a JSON list"),
        (b"\x93NUMPY", r"^it must be a .npy file or a JSON list"),
    ],
)
def test_one_vector_that_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        vector_from_bytes(data, INPUT, "it")


def test_the_bytes_of_a_vector_come_back():
    vector = np.array([1.5, -2.0, 0.25], np.float32)
    np.testing.assert_array_equal(INPUT.decode(encode_vector(vector), "it"), vector)
    with pytest.raises(ValueError, match=r"it must be one vector of 3 numbers"):
        INPUT.decode(b"12345", "it")
    assert ImageInput.of(INPUT.to_dict()) == INPUT
