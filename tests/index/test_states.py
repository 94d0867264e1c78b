"""States on disk: whatever is killed or damaged, there is a complete one, or a clear word."""

import json
import subprocess
import sys

import pytest
from index_fakes import DIM, create, make_items, random_values

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.states import States

# The child of a fork changes the index and kills itself just before or after the n-th operation
# of a kind; then the parent looks at what is there. One process, many kills, no TensorFlow.
_KILLS = """
import os, signal, sys
import faiss
import numpy as np
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index import ivf
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item

directory = sys.argv[1]
ivf.MIN_ITEMS, ivf._POINTS_PER_LIST = 4, 2  # so that there are lists

def vectors_of(numbers):
    return np.array([[number, 1.0] for number in numbers], np.float32)

def change(step):
    index = GalleryIndex.open(directory)
    numbers = range(10 * step, 10 * step + 5)
    values = np.zeros(1, np.int32)
    index.put([Item(str(n), values, b"image %d" % n) for n in numbers], vectors_of(numbers))
    index.remove(index.ids[:3])
    index.commit()

def kill_at(module, name, number, after):
    real, calls = getattr(module, name), []
    def call(*args, **kwargs):
        calls.append(name)
        if len(calls) == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(module, name, call)

space = AttributeSpace.from_dict({"colour": ["red", "green"]})
kind = {"engine": "ivf", "storage": "float16"}  # writes what flat does, and lists
GalleryIndex.create(directory, space=space, fingerprint="f", dim=2, **kind)
change(0)
operations = [(os, "replace", 11), (os, "fsync", 7), (os, "mkdir", 2), (os, "rmdir", 1)]
operations += [(faiss, "write_index", 2), (np, "savez", 1)]
points = [(module, name, number, after) for module, name, count in operations
          for number in range(1, count + 1) for after in (False, True)]
for step, point in enumerate(points, start=1):
    before = GalleryIndex.open(directory).ids
    pid = os.fork()
    if pid == 0:
        kill_at(*point)
        change(step)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    index = GalleryIndex.open(directory)
    changed = (before + [str(10 * step + i) for i in range(5)])[3:]
    assert index.ids in (before, changed), (point, before, index.ids)
    for name, found in zip(index.ids, index.search(vectors_of(map(int, index.ids)), 1)):
        assert (found.ids, found.distances[0]) == ([name], 0.0)
        assert index.image(name) == b"image " + name.encode()
    print("killed" if os.WIFSIGNALED(status) else "done", index.ids == changed)
"""


def test_a_kill_at_any_moment_leaves_a_complete_state(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _KILLS, str(tmp_path / "index")],
        env={"OMP_NUM_THREADS": "1", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    outcomes = done.stdout.splitlines()
    assert outcomes.count("killed False") > 20 and outcomes.count("killed True") > 2
    index = GalleryIndex.open(tmp_path / "index")
    index.commit()  # clears up
    assert len(list((tmp_path / "index" / "states").iterdir())) == 2


@pytest.fixture
def index(tmp_path, rng):
    """Two states: five items, then eight."""
    index = create(tmp_path / "index")
    values = random_values(rng, 8)
    items = make_items(values)
    index.put(items[:5], rng.normal(size=(5, DIM)))
    index.commit()
    index.put(items[5:], rng.normal(size=(3, DIM)))
    index.commit()
    return index


def states_of(index):
    return sorted(path.name for path in (index.directory / "states").iterdir())


def test_the_state_before_is_kept_and_no_other(index):
    assert (index.directory / "CURRENT").read_text() == "000003\n"
    assert states_of(index) == ["000002", "000003"]


@pytest.mark.parametrize("name", ["vectors.faiss", "items.npz", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "empty"])
def test_a_damaged_file_is_named_and_the_state_before_opens(index, name, damage):
    path = index.directory / "states" / "000003" / name
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        changed = {"truncated": content[:middle], "changed": flipped, "empty": b""}
        path.write_bytes(changed[damage])
    with pytest.raises(
        ValueError, match=rf"000003/{name} .*State 000002 is complete: go back"
    ) as e:
        GalleryIndex.open(index.directory)
    assert "\n" not in str(e.value)
    cure = str(e.value).split("'")[-2]  # what the message says to type
    subprocess.run(cure, shell=True, check=True)
    back = GalleryIndex.open(index.directory)
    assert len(back) == 5
    back.remove(["item0"])
    back.commit()
    assert len(GalleryIndex.open(index.directory)) == 4


def test_a_value_changed_in_the_description_is_noticed(index):
    path = index.directory / "states" / "000003" / "state.json"
    path.write_text(path.read_text().replace("0123456789abcdef", "0123456789abcdee"))
    with pytest.raises(ValueError, match=r"state\.json is damaged"):
        GalleryIndex.open(index.directory)


@pytest.mark.parametrize("content", ["", "000009\n", "../../etc", "\udcff"])
def test_a_damaged_pointer_is_named(index, content):
    (index.directory / "CURRENT").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(
        ValueError, match=r"CURRENT is damaged: .*State 000003 is complete: go back"
    ):
        GalleryIndex.open(index.directory)


def test_with_no_complete_state_the_cure_is_to_build_another(index):
    for path in (index.directory / "states").glob("*/items.npz"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"No other state is complete: build the index in"):
        GalleryIndex.open(index.directory)


def test_a_failed_write_changes_nothing(tmp_path):
    states = States(tmp_path)
    first = states.commit(None, lambda folder: {"n": 1})

    def fail(folder):
        (folder / "half").write_text("a")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        states.commit(first, fail)
    assert states.current() == first and states.read(first)["n"] == 1
    assert [path.name for path in (tmp_path / "states").iterdir()] == [first]


def test_a_reader_that_is_overtaken_reads_the_newer_state(index, monkeypatch):
    """Between reading CURRENT and the files, another process commits twice."""
    read = States.read
    overtaken: list[str] = []

    def slow_read(self, name):
        if not overtaken:
            overtaken.append(name)
            for item in ("item0", "item1"):
                index.remove([item])
                index.commit()
        return read(self, name)

    monkeypatch.setattr(States, "read", slow_read)
    assert len(GalleryIndex.open(index.directory)) == 6
    assert json.loads((index.directory / "states/000005/state.json").read_text())["count"] == 6
