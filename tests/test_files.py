import json
import os
import stat
import subprocess
import threading
import time

import numpy as np
import pytest

from fashionsearchnet import files


def test_content_is_replaced_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "notes.txt"
    files.write_text(path, "first")
    files.write_text(path, "zweite Fassung: größer")
    assert path.read_text(encoding="utf-8") == "zweite Fassung: größer"
    assert [p.name for p in path.parent.iterdir()] == ["notes.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_tilde_is_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    files.write_text("~/a/notes.txt", "found")
    assert (tmp_path / "a" / "notes.txt").read_text() == "found"


@pytest.mark.parametrize("name", ["model.weights.h5", "table.csv", "flags", ".hidden", "a.tar.gz"])
def test_the_temporary_file_lies_beside_and_keeps_the_suffix(tmp_path, name):
    path = tmp_path / name
    with files.replace_file(path) as temporary:
        assert temporary.parent == tmp_path and temporary != path
        assert temporary.name.endswith("".join(path.suffixes))
        assert not path.exists()
        temporary.write_bytes(b"done")
    assert path.read_bytes() == b"done"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt(), SystemExit(1)])
def test_a_failure_in_the_middle_leaves_the_old_content(tmp_path, error):
    path = tmp_path / "notes.txt"
    files.write_text(path, "old")
    with pytest.raises(type(error)), files.replace_file(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_of_the_disk_names_the_file_and_the_cure(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"cannot write .*notes\.txt .*run the same command again"):
        files.write_text(tmp_path / "file" / "notes.txt", "text")
    (tmp_path / "notes.txt").mkdir()
    with pytest.raises(OSError, match=r"cannot write .*notes\.txt"):
        files.write_text(tmp_path / "notes.txt", "text")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "notes.txt"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_costs_nothing(small_disk):
    path = small_disk / "notes.txt"
    files.write_text(path, "old")
    with pytest.raises(OSError, match=r"cannot write .*notes\.txt .*unchanged"):
        files.write_text(path, "x" * 200_000)
    with (
        pytest.raises(OSError, match=r"cannot write .*array\.npy"),
        files.replace_file(small_disk / "array.npy") as temporary,
    ):
        np.save(temporary, np.zeros(100_000))
    assert path.read_text() == "old"
    assert [p.name for p in small_disk.iterdir()] == ["notes.txt"]
    files.write_text(path, "new")  # the space is free again
    assert path.read_text() == "new"


def test_json_survives(tmp_path):
    content = {"größe": [1, 2.5, None, True], "nested": {"a": "v-neck"}}
    files.write_json(tmp_path / "content.json", content)
    assert files.read_json(tmp_path / "content.json", "a thing", "Make it.") == content
    text = (tmp_path / "content.json").read_text(encoding="utf-8")
    assert "größe" in text and text.endswith("}\n")


def test_content_that_is_no_json_leaves_the_file_alone(tmp_path):
    path = tmp_path / "content.json"
    files.write_json(path, [1])
    with pytest.raises(TypeError):
        files.write_json(path, {"array": np.zeros(2)})
    assert json.loads(path.read_text()) == [1]


def test_a_missing_or_broken_json_file_is_named_with_its_cure(tmp_path):
    path = tmp_path / "content.json"
    with pytest.raises(FileNotFoundError, match=r"content\.json does not exist: .*a thing\. Make"):
        files.read_json(path, "a thing", "Make it.")
    for broken in (b'{"a": 1', b"", b"\xff\xfe\x00"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"should hold a thing, but is not JSON .* Make it\."):
            files.read_json(path, "a thing", "Make it.")


def test_a_lock_is_held_by_one(tmp_path):
    path = tmp_path / "folder" / ".lock"
    with files.hold_lock(path, "prepares shop"):
        with (
            pytest.raises(BlockingIOError, match="another process prepares shop at this moment"),
            files.hold_lock(path, "prepares shop"),
        ):
            pass
        assert path.exists()
    assert not path.exists()
    with files.hold_lock(path, "prepares shop"):
        pass


def test_who_waits_for_a_lock_gets_it_when_it_is_free(tmp_path):
    path, order = tmp_path / ".lock", []

    def second():
        with files.hold_lock(path, "writes", wait=True):
            order.append("second")

    with files.hold_lock(path, "writes"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"] and not path.exists()


def test_an_array_is_written_part_by_part(tmp_path):
    path = tmp_path / "a.npy"
    files.write_array(path, (3, 2), "<f4", [np.zeros((1, 2)), np.ones((2, 2))])
    found = np.load(path)
    assert found.dtype == np.float32 and found.tolist() == [[0, 0], [1, 1], [1, 1]]


def test_an_array_that_cannot_be_finished_leaves_the_former_one(tmp_path):
    path = tmp_path / "a.npy"
    files.write_array(path, (1,), "<i4", [np.array([7])])

    def parts():
        yield np.array([8])
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        files.write_array(path, (2,), "<i4", parts())
    assert np.load(path).tolist() == [7]
    assert [found.name for found in tmp_path.iterdir()] == ["a.npy"]
