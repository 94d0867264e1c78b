import os
import zipfile

import numpy as np
import pytest
import torch_files

from fashionsearchnet.networks.torch_file import read_tensors


@pytest.fixture
def tensors(rng):
    return {
        "conv.weight": rng.normal(size=(4, 3, 2, 2)).astype(np.float32),
        "bn.count": np.asarray([7], np.int64),
        "double": rng.normal(size=(2, 5)),
    }


class Harm:
    """A pickle of this runs a command."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


@pytest.mark.parametrize("archive", [False, True])
def test_tensors_are_read_as_they_were_written(tmp_path, tensors, archive):
    found = read_tensors(torch_files.write(tmp_path / "a.pth", tensors, archive))
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


@pytest.mark.parametrize("archive", [False, True])
def test_a_pickle_that_runs_a_command_is_refused_by_name(tmp_path, tensors, archive):
    proof = tmp_path / "proof"
    path = torch_files.write(tmp_path / "bad.pth", {**tensors, "x": Harm(proof)}, archive)
    with pytest.raises(
        ValueError, match=r"bad\.pth.*asks for posix\.system.*nothing of it was run"
    ):
        read_tensors(path)
    assert not proof.exists()


@pytest.mark.parametrize("archive", [False, True])
def test_a_file_that_is_cut_off_anywhere(tmp_path, tensors, archive):
    path = torch_files.write(tmp_path / "cut.pth", tensors, archive)
    whole = path.read_bytes()
    for length in (0, 1, 10, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.pth: expected a PyTorch file of named tensors"):
            read_tensors(path)


def test_files_that_hold_something_else(tmp_path, tensors):
    path = tmp_path / "other.pth"
    path.write_text("not found")
    with pytest.raises(ValueError, match="expected a PyTorch file"):
        read_tensors(path)
    torch_files.write(path, {**tensors, "epoch": 3})
    with pytest.raises(ValueError, match="'epoch' is a int"):
        read_tensors(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"no data\.pkl"):
        read_tensors(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.pth do not exist"):
        read_tensors(tmp_path / "missing.pth")


def test_a_tensor_beyond_its_storage(tmp_path, tensors):
    path = torch_files.write(tmp_path / "a.pth", tensors, archive=True)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    # The tensor has the shape [4, 3, 2, 2]; 9 is beyond what was stored. K is a one-byte number.
    forged = contents["weights/data.pkl"].replace(
        b"(K\x04K\x03K\x02K\x02t", b"(K\x09K\x03K\x02K\x02t"
    )
    assert forged != contents["weights/data.pkl"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**contents, "weights/data.pkl": forged}.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match=r"conv\.weight reaches beyond its storage"):
        read_tensors(path)
