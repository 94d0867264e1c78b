"""The engine milvus with a real server, which comes from PyPI: `pip install milvus==2.3.5`."""

import importlib.util
import subprocess
import sys
import time

import numpy as np
import pytest
from fakes import SPACE
from index_fakes import DIM, create, make_items, nearest_of, random_values

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index import milvus
from fashionsearchnet.index.engines import Choice, ItemFilter
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.states import States

_START_SECONDS = 60


# Tells the port, or what went wrong, and runs until its input is closed.
_SERVER = """
import sys
from milvus import MilvusServer, MilvusServerConfig

server = MilvusServer(MilvusServerConfig(data_dir=sys.argv[1]), wait_for_started=False)
server.config.set("system_log_level", "error")
try:
    server.start()
    server.wait_started(1000 * int(sys.argv[2]))
    print(server.listen_port, flush=True)
    sys.stdin.read()
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
finally:
    server.stop()
"""


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """The URI of a server that was started for these tests."""
    for package in ("milvus", "pymilvus"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed: pip install milvus==2.3.5")
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, tmp_path_factory.mktemp("milvus"), str(_START_SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:  # closes its input at the end, and waits
        assert server.stdout
        answer = server.stdout.readline().strip()
        if not answer.isdigit():
            pytest.skip(f"the Milvus server did not start: {answer}")
        yield f"http://127.0.0.1:{answer}"


def check_answers(index, vectors, values, rng):
    """Compares with a slow search, with and without a filter."""
    queries = rng.normal(size=(7, DIM)).astype("f4")
    allowed = np.isin(values[:, 0], [0, 2]) & (values[:, 1] == 1)
    filters = {"colour": ["blue", "red"], "sleeve": ["long"]}
    for mask, chosen in ((np.ones(len(index), bool), None), (allowed, filters)):
        expected = nearest_of(queries, vectors, mask, 9)
        for query, row, found in zip(
            queries, expected, index.search(queries, 9, chosen), strict=True
        ):
            assert found.ids == [index.ids[p] for p in row]
            exact = np.linalg.norm(vectors[row] - query, axis=1)
            np.testing.assert_allclose(found.distances, exact, rtol=1e-4)


def test_a_server_gives_exact_answers_through_changes_and_kills(address, tmp_path, rng):
    directory = tmp_path / "index"
    index = create(directory, engine="milvus", address=address)
    vectors, values = rng.normal(size=(90, DIM)).astype("f4"), random_values(rng, 90)
    vectors[50:55] = vectors[3]
    items = make_items(values, images=True)
    index.put(items, vectors)
    index.commit()
    check_answers(index, vectors, values, rng)
    (found,) = index.search(vectors[3:4], 4)  # equal vectors in their order
    assert found.ids == ["item3", "item50", "item51", "item52"]

    # What a killed process has put and removed is not seen by others, nor later by itself.
    killed = GalleryIndex.open(directory)
    killed.put([items[0], *make_items(values[:3], first=500)], np.zeros((4, DIM)))
    killed.remove(["item80"])
    (found,) = killed.search(np.zeros((1, DIM)), 4)
    assert found.ids == ["item0", "item500", "item501", "item502"]
    check_answers(index, vectors, values, rng)
    check_answers(GalleryIndex.open(directory), vectors, values, rng)

    index = GalleryIndex.open(directory)
    replaced, new = rng.normal(size=(2, DIM)).astype("f4"), rng.normal(size=(5, DIM)).astype("f4")
    index.put(items[10:12], replaced)
    index.put(make_items(values[:5], first=900), new)
    index.remove([f"item{i}" for i in range(5)])
    order = [*range(5, 10), *range(12, 90), 10, 11, *range(5)]
    values = values[order]
    vectors = np.concatenate([vectors[order[:-7]], replaced, new])
    check_answers(index, vectors, values, rng)
    index.commit()
    check_answers(index, vectors, values, rng)
    reopened = GalleryIndex.open(directory, address=address)
    assert len(reopened) == 90 and reopened.image("item11") == b"image of item11"
    check_answers(reopened, vectors, values, rng)
    with pytest.raises(ValueError, match=r"at most 16,384 results; got k=20000"):
        reopened.engine.search(vectors[:1], 20_000, None)

    # The rows of the state before are gone: going back to it is refused.
    states = States(directory)
    (directory / "CURRENT").write_text(f"{int(states.current()) - 1:06d}\n")
    with pytest.raises(ValueError, match=r"holds 8\d of the 90 items.*build the index again"):
        GalleryIndex.open(directory)


def test_a_server_that_is_not_there_is_named(tmp_path, monkeypatch):
    pytest.importorskip("pymilvus")
    monkeypatch.setattr(milvus, "_TIMEOUT", 0.5)
    start = time.monotonic()
    with pytest.raises(OSError, match=r"server at http://127.0.0.1:9 failed .*milvus-server"):
        create(tmp_path / "index", engine="milvus", address="http://127.0.0.1:9")
    assert time.monotonic() - start < 20
    assert not States(tmp_path / "index").exist()


def test_without_the_client_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"engine milvus needs the package pymilvus: pip install"):
        create(tmp_path / "index", engine="milvus", address="http://127.0.0.1:9")


def test_fields_have_names_that_a_server_takes():
    space = AttributeSpace.from_dict({"größe (EU)": ["a", "b"], "größe [EU]": ["a", "b"]})
    assert milvus.field_names(space) == ["a0_gr_e_EU_", "a1_gr_e_EU_"]
    assert milvus.field_names(SPACE) == ["a0_colour", "a1_sleeve", "a2_neckline"]


def test_a_filter_names_the_labels_and_the_keys_that_pass_without_one():
    engine = milvus.MilvusEngine(None, "http://nowhere", "items", SPACE)
    chosen = ItemFilter(np.ones(1, bool), (Choice(0, (0, 2)), Choice(1, (1,), (5, 8))))
    colour, sleeve, _ = milvus.field_names(SPACE)
    assert engine._condition(chosen) == (
        f"key < 0 and {colour} in [0, 2] and ({sleeve} in [1] or key in [5, 8])"
    )
    assert engine._condition(None) == "key < 0"
